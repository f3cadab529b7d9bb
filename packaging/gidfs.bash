# Bash completion of gidfs: commands, options, and the names that the service knows.

_gidfs_names() {
    case "$1" in
        volume) gidfs volume ls --raw --noheadings -o NAME ;;
        target) gidfs ls --raw --noheadings -o TARGET | grep / ;;
        container) gidfs container ls --raw --noheadings -o ID ;;
        rootfs) gidfs rootfs ls --raw --noheadings -o ID ;;
        block) gidfs block ls --raw --noheadings -o ID ;;
    esac 2>/dev/null
}

_gidfs() {
    local cur=${COMP_WORDS[COMP_CWORD]} commands words i command=
    COMPREPLY=()
    for ((i = 1; i < COMP_CWORD; i++)); do
        case "${COMP_WORDS[i]}" in
            --socket | --timeout) ((i++)) ;;
            -*) ;;
            *) command="$command${command:+ }${COMP_WORDS[i]}" ;;
        esac
    done
    commands="volume attach detach ls gids container rootfs block recover check stats top status drain upgrade"
    case "$command" in
        "") words="$commands --socket --timeout --help --version" ;;
        volume) words="create ls show rm abort" ;;
        container) words="prepare update restart cleanup ls oci" ;;
        rootfs) words="create ls rm flatten" ;;
        block) words="create ls rm" ;;
        *)
            if [[ $cur == -* ]]; then
                read -r -a i <<<"$command"
                words=$(gidfs "${i[@]:0:2}" --help 2>/dev/null || gidfs "${i[0]}" --help 2>/dev/null)
                words=$(grep -oE -- '--[a-z-]+' <<<"$words")
            else
                case "$command" in
                    "volume show" | "volume rm" | "volume abort" | attach | stats | upgrade) words=$(_gidfs_names volume) ;;
                    detach) words=$(_gidfs_names target) ;;
                    "container update" | "container restart" | "container cleanup" | "container oci")
                        words=$(_gidfs_names container) ;;
                    "rootfs rm") words=$(_gidfs_names rootfs) ;;
                    "block rm") words=$(_gidfs_names block) ;;
                esac
            fi
            ;;
    esac
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
}
complete -o default -F _gidfs gidfs
