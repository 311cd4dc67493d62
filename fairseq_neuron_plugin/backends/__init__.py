"""What reads models: files of other programs, and fairseq itself."""
