# Usage: source scripts/setup.sh REQUIREMENTS_FILE
#
# Sourced by quickstart.sh and test.sh: creates .venv in the repository and installs the versions of
# REQUIREMENTS_FILE once. Sets PYTHON and `repository`.
setting_up=1 source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"

recent_python() {
    local candidate
    for candidate in python3 python3.14 python3.13 python3.12 python3.11; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
    echo "error: Python 3.11 or newer was not found on the PATH" >&2
    return 1
}

install_requirements() {
    local requirements="$repository/$1" venv="$repository/.venv"
    local installed="$venv/$1.installed"
    # requirements-dev.txt includes requirements.txt
    if cat "$repository"/requirements*.txt | cmp -s - "$installed"; then
        return
    fi
    local python
    python=$(recent_python)
    echo "Installing $1 into $venv (once; torch alone can be several GB to download)"
    if ! "$python" -m venv "$venv"; then
        echo "error: $python cannot create a virtual environment (Debian: apt install python3-venv)" >&2
        return 1
    fi
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check -r "$requirements"
    cat "$repository"/requirements*.txt > "$installed"
}

install_requirements "$1"
PYTHON="$repository/.venv/bin/python"
