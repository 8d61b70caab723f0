"""Parts of the module rpicluster, which is what programs import."""
