# Embeds the files of web/ into the slave.
