# Order of `.zshrc`, login and other shells, plugins and quoting.
{ lib, ... }@args:
import ./parts/texts.nix args {
  programs.zsh = {
    enable = true;
    dotDir = ".config/zsh";
    autocd = true;
    cdpath = [ "$HOME/a b" ];
    defaultKeymap = "viins";
    dirHashes.docs = "$HOME/Documents";
    localVariables.WORDS = [
      "a"
      "b c"
    ];
    sessionVariables.Z = "$HOME/z";
    shellAliases.ll = "ls -l";
    shellGlobalAliases.G = "| grep";
    setOptions = [ "NO_BEEP" ];
    siteFunctions.mkcd = "mkdir -p $1 && cd $1";
    history.ignorePatterns = [ "rm *" ];
    history.share = false;
    plugins = [
      {
        name = "thing";
        src = "/opt/thing";
        functions = [ "functions" ];
      }
    ];
    autosuggestion = {
      enable = true;
      highlight = "fg=8";
    };
    syntaxHighlighting = {
      enable = true;
      highlighters = [ "brackets" ];
      styles.comment = "fg=8";
      patterns."rm -rf *" = "fg=red";
    };
    historySubstringSearch.enable = true;
    initExtraFirst = "echo first";
    initExtraBeforeCompInit = "echo before completion";
    initContent = lib.mkMerge [
      "echo middle"
      (lib.mkAfter "echo last")
    ];
    envExtra = "echo env";
    profileExtra = "echo profile";
    loginExtra = "echo login";
    logoutExtra = "echo logout";
  };
}
