{ lib, ... }: (lib.evalModules { modules = [ [ { } ] ]; }).config
