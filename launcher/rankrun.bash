# Completion of rankrun's command line for bash: options up to the program's name, then whatever that program completes.

_rankrun() {
    local options="-n -np --ranks -x --wdir -l --label --timestamp -o --output-dir --stdin --bind --report-bindings
        --timeout --grace --restarts --via --hosts --dry-run --verbose --info -h --help --version"
    local behind_colon="-n -np --ranks -x --wdir"
    local with_value=" -n -np --ranks -x --wdir -o --output-dir --stdin --bind --timeout --grace --restarts --via --hosts "
    local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
    COMPREPLY=()
    # bash makes words of their own of "=" and ":" inside a word.
    if [[ $current == = ]]; then
        current=
    elif [[ $previous == = ]]; then
        previous=${COMP_WORDS[COMP_CWORD - 2]}
    fi

    # Where the program stands that the cursor is in or behind; a lone ":" begins the options of the next one.
    local i=1 program=0 last=0 # the last one, behind "--", has no options of ours and keeps every ":"
    while ((i < COMP_CWORD)); do
        if ((last)); then
            break
        elif [[ ${COMP_WORDS[i]} == : ]] && ((program > 0)); then
            program=0
            options=$behind_colon
        elif ((program == 0)); then
            case ${COMP_WORDS[i]} in
                --) program=$((i + 1)) last=1 ;;
                -*)
                    if [[ $with_value == *" ${COMP_WORDS[i]} "* ]]; then
                        [[ ${COMP_WORDS[i + 1]} == = ]] && ((i++))
                        ((i++))
                        while ((i + 1 < COMP_CWORD)) && [[ ${COMP_WORDS[i + 1]} == [=:] ]]; do ((i += 2)); done
                    fi
                    ;;
                *) program=$i ;;
            esac
        fi
        ((i++))
    done
    if ((program > 0 && program < COMP_CWORD)); then
        if declare -F _command_offset >/dev/null; then
            _command_offset "$program"
        else
            mapfile -t COMPREPLY < <(compgen -f -- "$current")
        fi
        return
    fi

    if ((i > COMP_CWORD)); then # the value of an option
        case $previous in
            --bind) mapfile -t COMPREPLY < <(compgen -W "core none" -- "$current") ;;
            --via) mapfile -t COMPREPLY < <(compgen -W "auto local mpirun srun" -- "$current") ;;
            --stdin) mapfile -t COMPREPLY < <(compgen -W "0 all none" -- "$current") ;;
            --wdir | -o | --output-dir) mapfile -t COMPREPLY < <(compgen -d -- "$current") ;;
            --hosts) mapfile -t COMPREPLY < <(compgen -A hostname -- "$current") ;;
            -x) mapfile -t COMPREPLY < <(compgen -v -- "$current") ;;
        esac
        return
    fi
    if [[ $current == -* ]] && ((!last)); then
        mapfile -t COMPREPLY < <(compgen -W "$options" -- "$current")
    else
        mapfile -t COMPREPLY < <(compgen -c -- "$current"; compgen -f -- "$current")
    fi
}

complete -o filenames -F _rankrun rankrun
