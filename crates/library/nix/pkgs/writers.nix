# Files written from text, by Nival's own builders.
{ lib, pkgs }:
let
  # A name may come from a path with characters that the store refuses.
  storeName = lib.strings.sanitizeDerivationName;
in
rec {
  # A derivation of a builder inside Nival: it runs on any machine.
  mkBuiltin =
    {
      attrs,
      meta ? { },
      passthru ? { },
    }:
    let
      drv = derivation ({ system = "builtin"; } // attrs // { name = storeName attrs.name; });
    in
    passthru
    // drv
    // {
      inherit meta passthru;
      pname = lib.getName attrs.name;
      version = lib.getVersion attrs.name;
    };

  # The shell of the host: every POSIX system has it at this place.
  runtimeShell = "/bin/sh";
  # bash is not everywhere at one place: /usr/bin/env finds it.
  bashShebang = "/usr/bin/env bash";

  writeTextFile =
    {
      name,
      text,
      executable ? false,
      destination ? "",
      checkPhase ? "",
      meta ? { },
      passthru ? { },
      allowSubstitutes ? false,
      preferLocalBuild ? true,
      derivationArgs ? { },
    }:
    if checkPhase != "" then
      pkgs.runCommandLocal name
        {
          inherit text meta passthru;
          passAsFile = [ "text" ];
        }
        ''
          target=$out${lib.escapeShellArg destination}
          mkdir -p "$(dirname "$target")"
          cp "$textPath" "$target"
          ${lib.optionalString executable "chmod +x \"$target\""}
          ${checkPhase}
        ''
    else
      mkBuiltin {
        inherit meta passthru;
        attrs =
          derivationArgs
          // {
            inherit name text;
            builder = "builtin:nival-text";
          }
          // lib.optionalAttrs (destination != "") { inherit destination; }
          // lib.optionalAttrs executable { executable = "1"; };
      };

  writeText = name: text: writeTextFile { inherit name text; };
  writeTextDir =
    path: text:
    writeTextFile {
      name = baseNameOf path;
      inherit text;
      destination = "/${path}";
    };
  writeScript =
    name: text:
    writeTextFile {
      inherit name text;
      executable = true;
    };
  writeScriptBin =
    name: text:
    writeTextFile {
      inherit name text;
      executable = true;
      destination = "/bin/${name}";
      meta.mainProgram = name;
    };
  writeShellScript = name: text: writeScript name "#!${bashShebang}\n${text}\n";
  writeShellScriptBin = name: text: writeScriptBin name "#!${bashShebang}\n${text}\n";
  writeShellApplication =
    {
      name,
      text,
      runtimeInputs ? [ ],
      runtimeEnv ? { },
      bashOptions ? [
        "errexit"
        "nounset"
        "pipefail"
      ],
      meta ? { },
      passthru ? { },
      # Accepted: no checker is part of the embedded set.
      checkPhase ? "",
      excludeShellChecks ? [ ],
      extraShellCheckFlags ? [ ],
      inheritPath ? true,
    }:
    writeTextFile {
      inherit name passthru;
      executable = true;
      destination = "/bin/${name}";
      meta = {
        mainProgram = name;
      }
      // meta;
      text = lib.concatStrings [
        "#!${bashShebang}\n"
        (lib.concatMapStrings (o: "set -o ${o}\n") bashOptions)
        (lib.concatStrings (
          lib.mapAttrsToList (n: v: "${lib.toShellVar n v}\nexport ${n}\n") runtimeEnv
        ))
        (lib.optionalString (runtimeInputs != [ ])
          "\nexport PATH=\"${lib.makeBinPath runtimeInputs}${lib.optionalString inheritPath ":$PATH"}\"\n"
        )
        "\n${text}\n"
      ];
    };

  concatTextFile =
    {
      name,
      files,
      executable ? false,
      destination ? "",
    }:
    writeTextFile {
      inherit name executable destination;
      text = lib.concatMapStrings builtins.readFile files;
    };
  concatText = name: files: concatTextFile { inherit name files; };
}
