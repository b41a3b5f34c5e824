# Sourced by the scripts: which Python they run, where it finds the packages, and how arguments are
# read. The folder that the user is in stays as it is, so that relative paths mean what they say.
repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
export PYTHONPATH="$repository${PYTHONPATH:+:$PYTHONPATH}"
if [[ -x "$repository/.venv/bin/python" ]]; then
    PYTHON="$repository/.venv/bin/python"
else
    PYTHON=python3
fi

# Not in setup.sh, which installs the packages.
if [[ -z ${setting_up:-} ]] && ! "$PYTHON" - <<'END'
import sys
from importlib.util import find_spec
sys.exit(not all(map(find_spec, ("torch", "transformers", "tqdm"))))
END
then
    echo "error: the packages are not installed: run \`source scripts/setup.sh requirements.txt\` first" >&2
    exit 1
fi

# split_arguments N ARGUMENT...: sets `folders` to at most N leading arguments that are no flags,
# and `flags` to the rest.
split_arguments() {
    local most=$1
    shift
    folders=()
    while [[ $# -gt 0 && $1 != -* && ${#folders[@]} -lt $most ]]; do
        folders+=("$1")
        shift
    done
    flags=("$@") # expanded as ${flags[@]+"${flags[@]}"}, since old versions of bash take none as unset
}
