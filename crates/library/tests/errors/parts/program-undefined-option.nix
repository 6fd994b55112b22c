{ programs.tmux.escapetime = 0; }
