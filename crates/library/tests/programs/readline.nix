# Keys by name and by sequence, kinds of values, and the text at the end.
{ ... }@args:
import ./parts/texts.nix args {
  home.preferXdgDirectories = true;
  programs.readline = {
    enable = true;
    includeSystemConfig = false;
    variables = {
      bell-style = "none";
      expand-tilde = true;
      completion-query-items = 50;
      mark-directories = false;
    };
    bindings = {
      "\\C-h" = "backward-kill-word";
      Control-k = "kill-line";
      meta-x = "undo";
      Controls = "self-insert";
    };
    extraConfig = "$if Bash\n$endif";
  };
}
