{
  home.packages = [ ];
  home.sessionPath = "~/bin";
}
