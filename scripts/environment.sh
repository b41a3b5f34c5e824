# Sourced by the scripts: chooses Python, sets its path, and reads arguments. The current folder is
# not changed, so relative paths stay valid.
repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
export PYTHONPATH="$repository${PYTHONPATH:+:$PYTHONPATH}"
if [[ -x "$repository/.venv/bin/python" ]]; then
    PYTHON="$repository/.venv/bin/python"
else
    PYTHON=python3
fi

# setup.sh installs the packages.
if [[ -z ${setting_up:-} ]] && ! "$PYTHON" - <<'END'
import sys
from importlib.util import find_spec
sys.exit(not all(map(find_spec, ("torch", "transformers", "tqdm"))))
END
then
    echo "error: the packages are not installed: run \`source scripts/setup.sh requirements.txt\` first" >&2
    exit 1
fi

# split_arguments N ARGUMENT...: sets `folders` to at most N leading arguments that are not flags,
# and `flags` to the rest.
split_arguments() {
    local most=$1
    shift
    folders=()
    while [[ $# -gt 0 && $1 != -* && ${#folders[@]} -lt $most ]]; do
        folders+=("$1")
        shift
    done
    flags=("$@") # expand as ${flags[@]+"${flags[@]}"}: in old versions of bash an empty array is unset
}
