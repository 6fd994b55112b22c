{
  home.file."../elsewhere".text = "";
}
