{
  home.file.a = {
    text = "1";
    target = "same";
  };
  home.file.b = {
    text = "2";
    target = "same";
  };
}
