{
  home.file.".vimrc".source = ./no-such-file;
}
