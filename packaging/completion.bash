# The command knows its verbs and options best.
# shellcheck source=/dev/null
source <(rpicluster completion bash)
