// What `heddle completion` prints. Each script asks the program itself what may come next (`heddle __complete`), by the name under which it was
// called; a line is a candidate, with a tab and its description behind it, or `:files` or `:directories`.
export const SHELLS = ['bash', 'zsh', 'fish'] as const;
export type Shell = (typeof SHELLS)[number];

// Bash takes `=` and `:` for ends of words: what stands before the last of them is not to be inserted again.
const BASH = `# bash completion of heddle. For this shell: source <(heddle completion bash)
# For all to come: heddle completion bash > ~/.local/share/bash-completion/completions/heddle
_heddle() {
  local line="\${COMP_LINE:0:COMP_POINT}" program="\${COMP_WORDS[0]/#\\~/$HOME}" IFS=$' \\t\\n'
  local -a words
  read -ra words <<<"$line"
  [[ $line == *[[:space:]] ]] && words+=('')
  local current="\${words[\${#words[@]}-1]}"
  local skip="\${current%"\${current##*[=:]}"}"
  COMPREPLY=()
  local candidate
  while IFS= read -r candidate; do
    case $candidate in
      :files) compopt -o default 2>/dev/null; return ;;
      :directories) compopt -o dirnames 2>/dev/null; return ;;
    esac
    candidate="\${candidate%%$'\\t'*}"
    [[ $candidate == *= ]] && compopt -o nospace 2>/dev/null
    COMPREPLY+=("\${candidate#"$skip"}")
  done < <("$program" __complete -- "\${words[@]:1}" 2>/dev/null)
}
complete -F _heddle heddle
`;

const ZSH = `#compdef heddle
# zsh completion of heddle. For this shell: source <(heddle completion zsh)
# For all to come: heddle completion zsh > a file _heddle in a directory of $fpath
_heddle() {
  local program="\${~words[1]}" line
  local -a candidates unspaced
  while IFS= read -r line; do
    case $line in
      :files) _files; return ;;
      :directories) _files -/; return ;;
    esac
    local value="\${line%%$'\\t'*}" description="\${line#*$'\\t'}"
    local shown="\${value//:/\\\\:}"
    [[ -n $description && $description != $line ]] && shown="$shown:$description"
    if [[ $value == *= ]]; then unspaced+=("$shown"); else candidates+=("$shown"); fi
  done < <("$program" __complete -- "\${(@)words[2,CURRENT]}" 2>/dev/null)
  (( \${#candidates} )) && _describe -t heddle heddle candidates
  (( \${#unspaced} )) && _describe -t heddle heddle unspaced -S ''
  return 0
}
if [[ \${zsh_eval_context[-1]} == loadautofunc ]]; then _heddle "$@"; else compdef _heddle heddle; fi
`;

const FISH = `# fish completion of heddle. For this shell: heddle completion fish | source
# For all to come: heddle completion fish > ~/.config/fish/completions/heddle.fish
function __heddle_complete
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    for candidate in (command $words[1] __complete -- $words[2..-1] "$current" 2>/dev/null)
        switch $candidate
            case :files
                __fish_complete_path "$current"
            case :directories
                __fish_complete_directories "$current"
            case '*'
                echo $candidate
        end
    end
end
complete -c heddle -f -a '(__heddle_complete)'
`;

export const SCRIPTS: Readonly<Record<Shell, string>> = { bash: BASH, zsh: ZSH, fish: FISH };
