{
  imports = [ { home.username = "bob"; } ];
  home.username = "carol";
}
