# The command knows its verbs and options best.
source <(rpicluster completion bash)
