{
  description = "A home, declared: scripts, a C program, prompt, git, dotfiles, a service";

  # The library inside Nival: no network, nothing to install. For real packages
  # add nixpkgs, and give its package set to homeManagerConfiguration as `pkgs`.
  inputs.nival.url = "nival";

  outputs =
    { nival, ... }:
    {
      homeConfigurations.commander = nival.lib.homeManagerConfiguration {
        modules = [ ./home.nix ];
      };
    };
}
