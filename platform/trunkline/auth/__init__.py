"""Who is calling: tokens made and verified, the keys for it, and the credentials they are exchanged for."""
