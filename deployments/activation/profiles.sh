# activate_profile NAME and deactivate_profile for bash (4.2 or later) and zsh: `ppi install` writes this to
# share/ppi/profiles.sh, with a last line that says where installations lie. To be sourced in ~/.bashrc or ~/.zshrc.
#
# An installation is found by its directory's name, which is that of its profile, in the directories that
# PPI_INSTALLATIONS lists, separated by colons.

function activate_profile {
    local name="${1-}" places="${PPI_INSTALLATIONS-}:" place
    while [[ -n "$name" && -n "$places" ]]; do
        place="${places%%:*}" places="${places#*:}"
        if [[ -n "$place" && "$(_ppi_profile_of "$place/$name")" == "$name" ]]; then
            \builtin source "$place/$name/bin/activate"
            return
        fi
    done
    \builtin printf 'ppi: no installation of profile "%s" in %s. ' "$name" "${PPI_INSTALLATIONS-}" >&2
    \builtin printf 'Next: activate_profile with one of:%s; or ppi install\n' "$(_ppi_installed)" >&2
    return 1
}

function deactivate_profile {
    if \builtin typeset -f _ppi_deactivate >/dev/null; then
        _ppi_deactivate
    else
        \builtin printf 'ppi: no profile is active in this shell. Next: activate_profile NAME\n' >&2
        return 1
    fi
}

function _ppi_profile_of {
    local name=""
    if [[ -f "$1/share/ppi/profile" ]]; then IFS= \builtin read -r name < "$1/share/ppi/profile" || :; fi
    \builtin printf '%s' "$name"
}

# Print the profiles that may be activated; only ever called in a subshell.
function _ppi_installed {
    local places="${PPI_INSTALLATIONS-}:" place root
    if [[ -n "${ZSH_VERSION-}" ]]; then
        \builtin emulate -R zsh
        \builtin setopt null_glob
    else
        \builtin set +efu
        \builtin shopt -u failglob
        \builtin shopt -s nullglob
    fi
    while [[ -n "$places" ]]; do
        place="${places%%:*}" places="${places#*:}"
        for root in "$place"/*; do
            if [[ "$(_ppi_profile_of "$root")" == "${root##*/}" ]]; then \builtin printf ' %s' "${root##*/}"; fi
        done
    done
}

