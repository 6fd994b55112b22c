{
  programs.ssh.enable = true;
  programs.ssh.settings.a.DynamicForward = {
    address = "/run/socket";
    port = 80;
  };
}
