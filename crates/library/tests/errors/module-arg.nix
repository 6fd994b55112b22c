{ lib, ... }: (lib.evalModules { modules = [ ({ nothing, ... }: { imports = nothing.modules; }) ]; }).config
