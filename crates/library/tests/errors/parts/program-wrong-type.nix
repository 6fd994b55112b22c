{
  programs.git.enable = true;
  programs.git.signing.format = "pgp";
}
