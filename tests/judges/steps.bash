# The steps of ./test: how each of them went, told at the end. Sourced, not run.
#
# A step that fails is one of three: FAILED (exit code 1 or another); "not run" because what it needs could not be
# installed (75, from tests/judges/install); "not run" because something is missing and may not be installed.

passed=()
failed=()
skipped=()
not_installed=()
# What a step that failed said last.
FAILURE_LINES=8
# A caller's file is left to the caller.
steps_temporary=""
if [[ -z "${LARDER_INSTALL_FAILURES:-}" ]]; then
    steps_temporary="$(mktemp)"
    export LARDER_INSTALL_FAILURES="$steps_temporary"
fi

# Runs a command as a named step, and records how it went; of a failure, what was said last, too. It doesn't end the run.
step() {
    local name="$1" start=$SECONDS status=0 before said tee
    shift
    before="$(count_install_failures)"
    said="$(mktemp)"
    echo
    echo "== $name"
    # Not a pipe, behind which the command's variables would be lost.
    exec {tee}> >(tee -- "$said")
    local pid=$!
    "$@" >&"$tee" 2>&1 {tee}>&- || status=$?
    exec {tee}>&-
    wait "$pid" || true
    case "$status" in
        0) passed+=("$name ($((SECONDS - start)) s)") ;;
        75) not_installed+=("$name: $(install_failures_since "$before")") ;;
        *) failed+=("$name ($((SECONDS - start)) s)"$'\n'"$(tail -n "$FAILURE_LINES" -- "$said" | cut -c 1-400 | sed 's/^/           /')") ;;
    esac
    rm -f -- "$said"
    return "$status"
}

# Whether a judge and the commands that it needs are there.
needs() {
    local name="$1" judge="$2" command missing=() why
    shift 2
    for command in "$@"; do
        command -v "$command" >/dev/null || missing+=("$command")
    done
    if [[ ! -x "$judge" ]]; then
        skipped+=("$name: $judge does not exist")
    elif ((${#missing[@]} == 0)); then
        return 0
    else
        why="$(install_failures_since 0)"
        if [[ "$why" == "install of "* ]]; then
            not_installed+=("$name: missing ${missing[*]}; $why")
        else
            skipped+=("$name: missing ${missing[*]}")
        fi
    fi
    return 1
}

can_install() {
    [[ $EUID == 0 ]] && command -v apt-get >/dev/null
}

# Installs the packages of `command:package` pairs whose command is missing, where that is allowed. What could not
# be installed is missing, which `needs` reports.
install_tools() {
    local pair packages=()
    for pair in "$@"; do
        command -v "${pair%%:*}" >/dev/null || packages+=("${pair#*:}")
    done
    if ((${#packages[@]} == 0)); then
        return
    fi
    if ! can_install; then
        echo "missing, and not installed without root and apt: ${packages[*]}"
        return
    fi
    echo "installing ${packages[*]}"
    tests/judges/install apt "${packages[@]}" || true
}

count_install_failures() {
    wc -l <"$LARDER_INSTALL_FAILURES"
}

# The failures after the first so many, in one line.
install_failures_since() {
    local lines
    lines="$(tail -n "+$(($1 + 1))" -- "$LARDER_INSTALL_FAILURES" | cut -f 2- | sort -u | paste -sd ';' | sed 's/;/; /g')"
    echo "${lines:-an install failed}"
}

# Says how every step went; returns 1 when something failed, or was not run where CI=true.
summary() {
    echo
    echo "== summary"
    local line not_run=$((${#skipped[@]} + ${#not_installed[@]}))
    for line in "${passed[@]}"; do echo "  passed   $line"; done
    for line in "${failed[@]}"; do echo "  FAILED   $line"; done
    for line in "${not_installed[@]}" "${skipped[@]}"; do echo "  not run  $line"; done
    echo "steps: ${#passed[@]} passed, ${#failed[@]} failed, $not_run skipped"
    if ((${#failed[@]})); then
        return 1
    fi
    if ((not_run)) && [[ "${CI:-}" == true ]]; then
        if ((${#not_installed[@]})); then
            echo "no test failed: ${#not_installed[@]} of the steps could not be installed, which is a failure in CI"
        else
            echo "in CI, what was not run is a failure"
        fi
        return 1
    fi
}
