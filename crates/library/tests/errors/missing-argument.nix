{ lib, ... }: (lib.evalModules { modules = [ ({ optoins, ... }: { options.a = lib.mkOption { default = optoins; }; }) ]; }).config.a
