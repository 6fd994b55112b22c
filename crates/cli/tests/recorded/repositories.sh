# Git repositories for the recorded answers, in the folder that this is run in: always the same commits.
set -eu
export GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_GLOBAL=/dev/null GIT_TERMINAL_PROMPT=0
export GIT_AUTHOR_NAME=Ann GIT_AUTHOR_EMAIL=ann@example.org GIT_COMMITTER_NAME=Ann GIT_COMMITTER_EMAIL=ann@example.org
export GIT_AUTHOR_DATE='1000000000 +0000' GIT_COMMITTER_DATE='1000000000 +0000'
umask 022

new() { git -c init.defaultBranch=main init -q "$1"; }
commit() { git -C "$1" add -A && git -C "$1" commit -q --allow-empty -m "$2"; }

# plain: all kinds of files, two commits, tags, a branch, a flake in it and in a folder of it.
new plain
mkdir plain/sub plain/none
cat > plain/flake.nix <<'END'
{
  outputs = { self, ... }: {
    x = 1;
    info = removeAttrs self.sourceInfo [ "outPath" ];
    missing = import ./nope.nix;
    error = throw "boo";
    untracked = builtins.readFile ./untracked;
    files = builtins.attrNames (builtins.readDir ./.);
    place = (builtins.unsafeGetAttrPos "x" self).line;
  };
}
END
cp plain/flake.nix plain/sub/flake.nix
echo text > plain/text
ln -s text plain/link
echo run > plain/run && chmod 755 plain/run
mkdir plain/deep plain/deep/er
printf 'hidden export-ignore\n/deep/er/* export-ignore\ncrlf text eol=crlf\n[attr]gone export-ignore\nlate gone\nkept -export-ignore\n' \
  > plain/.gitattributes
echo hidden > plain/hidden && echo late > plain/late && echo kept > plain/kept
echo a > plain/deep/er/a && echo b > plain/deep/b && printf 'one\r\ntwo\r\n' > plain/crlf
echo 'b export-ignore' > plain/deep/.gitattributes
commit plain one
GIT_COMMITTER_DATE='1000000100 +0000' git -C plain commit -q --allow-empty -m two
git -C plain tag light
git -C plain tag -a -m annotated heavy
git -C plain branch other HEAD~1
echo text > plain/untracked
git clone -q --bare plain bare.git
git clone -q --depth 1 "file://$PWD/plain" shallow
git -C plain worktree add -q ../linked -b linked
mkdir gitlink && ln -s ../plain/.git gitlink/.git
ln -s plain symlink
git -C plain gc -q

# dirty: each way in which a work tree can differ from its commit.
new dirty
mkdir dirty/folder dirty/moved
for name in changed deleted forgotten linked mode folder/a moved/b assumed skipped same; do echo "$name" > "dirty/$name"; done
commit dirty one
echo more >> dirty/changed && rm dirty/deleted && git -C dirty rm -q --cached forgotten
rm dirty/linked && ln -s changed dirty/linked && chmod 755 dirty/mode
mv dirty/moved dirty/elsewhere && ln -s elsewhere dirty/moved && rm -r dirty/folder && echo file > dirty/folder
echo staged > dirty/staged && git -C dirty add staged && echo intended > dirty/intended && git -C dirty add -N intended
git -C dirty update-index --assume-unchanged assumed && echo other > dirty/assumed
git -C dirty update-index --skip-worktree skipped && rm dirty/skipped
touch dirty/same

# Repositories with something missing or broken.
new unborn
new staged && echo x > staged/x && git -C staged add x
new detached && echo x > detached/x && commit detached one && git -C detached checkout -q --detach
mkdir empty nothing && mkdir nothing/.git
new headless && commit headless one && rm headless/.git/HEAD
new badref && commit badref one && echo oops > badref/.git/refs/heads/main
new lost && echo x > lost/x && commit lost one && rm -r lost/.git/objects/??

# Submodules within submodules.
new inner && echo inner > inner/f && commit inner one
new middle && echo middle > middle/g
git -C middle -c protocol.file.allow=always submodule --quiet add ../inner inner && commit middle one
new outer
echo '{ outputs = _: { files = builtins.readDir ./.; text = builtins.readFile ./sub/inner/f; }; }' > outer/flake.nix
git -C outer -c protocol.file.allow=always submodule --quiet add ../middle sub
git -C outer -c protocol.file.allow=always submodule --quiet update --init --recursive
commit outer one
git clone -q outer unfetched

# Flakes with inputs.
new locked
echo '{ inputs.it.url = "git+file:///DIR/inner"; inputs.it.flake = false; outputs = { it, ... }: { it = builtins.readFile "${it}/f"; rev = it.rev; }; }' \
  | sed "s|/DIR|$PWD|" > locked/flake.nix
cp -r locked unlocked && commit unlocked one
head=$(git -C inner rev-parse HEAD)
cat > locked/flake.lock <<END
{
  "nodes": {
    "it": {
      "flake": false,
      "locked": {
        "lastModified": 1000000000,
        "narHash": "sha256-IKPYNzJBCUGXUTALs3PrL4Dk+pYfZxXZ8eBPUJASNHQ=",
        "ref": "refs/heads/main",
        "rev": "$head",
        "revCount": 1,
        "type": "git",
        "url": "file://$PWD/inner"
      },
      "original": { "type": "git", "url": "file://$PWD/inner" }
    },
    "root": { "inputs": { "it": "it" } }
  },
  "root": "root",
  "version": 7
}
END
commit locked one
