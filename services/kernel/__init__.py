"""Words that every retail service uses: pure, no I/O, standard library only."""
