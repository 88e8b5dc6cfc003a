# Activates a profile's installation in bash (4.2 or later) or zsh: `ppi install` writes this to bin/activate, with a
# last line that names the installation.
#
# A subshell, where options may be changed freely, puts together what is to be done; here it is only evaluated. That
# is a function, in whose body stands everything as it was, `deactivate`, which calls it, and the new variables.

if [ -z "${BASH_VERSION-}${ZSH_VERSION-}" ]; then
    echo "ppi: a profile cannot be activated in this shell. Next: use bash or zsh" >&2
    return 1
fi

function _ppi_activate {
    local code=0
    _ppi_switch "$@" || code=$?
    \builtin unset -f _ppi_activate _ppi_switch _ppi_usable _ppi_text _ppi_previous _ppi_value _ppi_variable _ppi_apply
    return "$code"
}

function _ppi_switch {
    local text
    _ppi_usable "$@" || return 1
    if \builtin typeset -f _ppi_deactivate >/dev/null; then _ppi_deactivate; fi
    text="$(_ppi_text "$@")" || return 1
    _ppi_apply "$text"
}

function _ppi_usable {
    local name
    if [[ ! -f "$1/share/ppi/profile" ]]; then
        \builtin printf 'ppi: the installation %s is not whole. Next: ppi install %s --prefix %s\n' "$1" "$2" "$1" >&2
        return 1
    fi
    for name in CAPO_PROFILE PATH PREFECT_API_URL PREFECT_PROFILE PREFECT_PROFILES_PATH PS1 PYTHONHOME PYTHONPATH \
        VIRTUAL_ENV VIRTUAL_ENV_PROMPT; do
        if ! (\builtin unset "$name") 2>/dev/null; then
            \builtin printf 'ppi: %s is read-only in this shell. Next: activate in a new one\n' "$name" >&2
            return 1
        fi
    done
}

# Print what activates the profile; only ever called in a subshell.
function _ppi_text {
    if [[ -n "${ZSH_VERSION-}" ]]; then \builtin emulate -R zsh; else \builtin set +eu +o posix; fi
    \builtin printf 'function _ppi_deactivate {\n'
    _ppi_previous
    \builtin printf '}\nfunction deactivate { _ppi_deactivate; }\n'
    if \builtin alias deactivate >/dev/null 2>&1; then \builtin printf 'builtin unalias deactivate\n'; fi
    \builtin printf 'builtin unset CAPO_PROFILE PREFECT_API_URL PREFECT_PROFILE PREFECT_PROFILES_PATH\n'
    \builtin printf 'builtin unset PYTHONHOME PYTHONPATH VIRTUAL_ENV VIRTUAL_ENV_PROMPT\n'
    \builtin printf 'builtin export CAPO_PROFILE=%q VIRTUAL_ENV=%q VIRTUAL_ENV_PROMPT=%q\n' "$2" "$1" "$2"
    \builtin printf 'builtin export PREFECT_PROFILE=%q PREFECT_PROFILES_PATH=%q\n' "$3" "$1/share/ppi/profiles.toml"
    \builtin printf 'PATH=%q"${PATH:+:$PATH}"\n' "$1/bin"
    if [[ -n "${PS1+set}" && -z "${VIRTUAL_ENV_DISABLE_PROMPT-}" ]]; then
        \builtin printf 'PS1="(%s) $PS1"\n' "$2"
    fi
}

# Print what brings back everything as it is now. All that is assigned while `set -a` holds would be exported.
function _ppi_previous {
    local name
    if [[ -n "${ZSH_VERSION-}" ]]; then
        \builtin printf 'builtin setopt local_options no_aliases no_all_export\n'
    else
        \builtin printf 'local _ppi_options=$-\nbuiltin set +a\n'
    fi
    for name in PATH PS1; do _ppi_value "$name"; done
    for name in CAPO_PROFILE PREFECT_API_URL PREFECT_PROFILE PREFECT_PROFILES_PATH PYTHONHOME PYTHONPATH \
        VIRTUAL_ENV VIRTUAL_ENV_PROMPT; do
        _ppi_variable "$name"
    done
    \builtin printf 'builtin unset -f _ppi_deactivate\n'
    \builtin printf 'builtin unset -f deactivate 2>/dev/null || :\n'
    \builtin printf 'builtin unalias deactivate 2>/dev/null || :\n'
    if [[ -n "${ZSH_VERSION-}" ]]; then
        # zsh 5.9 breaks when a function that runs is unset and then defined anew, but not from text.
        \builtin printf 'builtin eval %q\n' "$(\builtin typeset -f deactivate)"
        \builtin alias -L deactivate
    else
        \builtin declare -pf deactivate 2>/dev/null
        \builtin alias deactivate 2>/dev/null
        \builtin printf 'case "$_ppi_options" in (*a*) builtin set -a ;; esac\n'
    fi
}

function _ppi_value {
    local state value
    \builtin eval "state=\${$1+set} value=\${$1-}"
    if [[ -z "$state" ]]; then
        \builtin printf 'builtin unset %s\n' "$1"
    elif [[ -n "${ZSH_VERSION-}" ]]; then
        \builtin eval 'builtin printf "%s=%s\n" "$1" "${(qq)value}"' # its %q leaves a tilde to be expanded
    else
        \builtin printf '%s=%q\n' "$1" "$value"
    fi
}

function _ppi_variable {
    local text
    \builtin printf 'builtin unset %s\n' "$1"
    text="$(\builtin typeset -p "$1" 2>/dev/null)"
    case "$text" in
        ("declare "*) \builtin printf 'declare -g %s\n' "${text#declare }" ;;
        ("export -"* | "typeset -g -"*) \builtin printf '%s\n' "$text" ;; # zsh: an integer, tied to an array, …
        ("export "*) \builtin printf 'builtin export '; _ppi_value "$1" ;;
        (?*) \builtin printf 'typeset -g '; _ppi_value "$1" ;;
    esac
}

# Aliases are off meanwhile: the text of a function is not what somebody types.
function _ppi_apply {
    if [[ -n "${ZSH_VERSION-}" ]]; then
        \builtin setopt local_options no_aliases no_all_export
        \builtin eval "$1"
        return
    fi
    local options=$- aliases="$(\builtin shopt -p expand_aliases)"
    \builtin set +a
    \builtin shopt -u expand_aliases
    \builtin eval "$1"
    case "$options" in (*a*) \builtin set -a ;; esac
    \builtin eval "$aliases"
}

