{
  programs.starship.enable = true;
  programs.starship.setings.add_newline = false;
}
