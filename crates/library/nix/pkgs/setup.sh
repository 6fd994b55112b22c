# The generic builder of `mkDerivation`: unpack, patch, configure, build, check, install.
# It runs in the host's bash where there is one, since that is what phases are
# mostly written for, else in its sh.
export PATH=/usr/bin:/bin:/usr/sbin:/sbin
if [ -z "${BASH_VERSION-}" ] && command -v bash >/dev/null; then
    exec bash -e "$0"
fi
export HOME=/homeless-shelter TMPDIR="${TMPDIR:-$NIX_BUILD_TOP}"
export SOURCE_DATE_EPOCH="${SOURCE_DATE_EPOCH:-1}" CC="${CC:-cc}" LC_ALL="${LC_ALL:-C}"
umask 022

for input in ${nativeBuildInputs-} ${buildInputs-} ${propagatedBuildInputs-}; do
    if [ -d "$input/bin" ]; then PATH="$input/bin:$PATH"; fi
    if [ -d "$input/include" ]; then export CPATH="$input/include${CPATH:+:$CPATH}"; fi
    if [ -d "$input/lib" ]; then export LIBRARY_PATH="$input/lib${LIBRARY_PATH:+:$LIBRARY_PATH}"; fi
    if [ -d "$input/lib/pkgconfig" ]; then
        export PKG_CONFIG_PATH="$input/lib/pkgconfig${PKG_CONFIG_PATH:+:$PKG_CONFIG_PATH}"
    fi
done

# runHook preBuild: the text of $preBuild, or the function of that name.
runHook() {
    eval "hook=\${$1-}"
    if [ -n "$hook" ]; then
        eval "$hook"
    elif command -v "$1" >/dev/null 2>&1; then
        "$1"
    fi
}

substituteInPlace() {
    file=$1
    shift
    while [ $# -ge 3 ]; do
        case $1 in
            --replace | --replace-fail | --replace-warn | --replace-quiet) ;;
            *) echo "substituteInPlace: unknown option $1" >&2; return 1 ;;
        esac
        if ! grep -qF -e "$2" "$file"; then
            echo "substituteInPlace: '$2' isn't in $file" >&2
            if [ "$1" = --replace-fail ]; then return 1; fi
        fi
        from=$2 to=$3 awk '
            { rest = $0; line = ""
              while ((at = index(rest, ENVIRON["from"])) > 0) {
                  line = line substr(rest, 1, at - 1) ENVIRON["to"]
                  rest = substr(rest, at + length(ENVIRON["from"])) }
              print line rest }' "$file" >"$file.new"
        cat "$file.new" >"$file"
        rm "$file.new"
        shift 3
    done
}

unpackPhase_() {
    if [ -z "${src-}${srcs-}" ]; then
        sourceRoot=${sourceRoot:-.}
        return
    fi
    for source in ${srcs:-$src}; do
        case $source in
            *.tar | *.tar.* | *.tgz | *.tbz2 | *.txz) tar xf "$source" ;;
            *.zip) unzip -q "$source" ;;
            *)
                name=${source##*/}
                # A store path is its digest, a dash, and the name.
                case $source in "${NIX_STORE:-/nix/store}"/*) name=${name#*-} ;; esac
                cp -R "$source" "$name"
                ;;
        esac
    done
    chmod -R u+w .
    if [ -z "${sourceRoot-}" ]; then
        for found in */; do
            if [ -d "$found" ]; then
                if [ -n "${sourceRoot-}" ]; then
                    echo "unpack: several folders; say which with sourceRoot" >&2
                    exit 1
                fi
                sourceRoot=${found%/}
            fi
        done
        sourceRoot=${sourceRoot:-.}
    fi
}

patchPhase_() {
    for patch in ${patches-}; do
        patch -p1 <"$patch"
    done
}

configurePhase_() {
    if [ -x ./configure ]; then
        ./configure --prefix="${prefix:-$out}" ${configureFlags-}
    fi
}

hasMakefile() {
    [ -n "${makefile-}" ] || [ -e Makefile ] || [ -e makefile ] || [ -e GNUmakefile ]
}

runMake() {
    make ${makefile:+-f "$makefile"} ${enableParallelBuilding:+-j"${NIX_BUILD_CORES:-1}"} SHELL=/bin/sh ${makeFlags-} "$@"
}

buildPhase_() {
    if hasMakefile; then runMake ${buildFlags-}; fi
}

checkPhase_() {
    if hasMakefile; then runMake ${checkFlags-} "${checkTarget:-check}"; fi
}

installPhase_() {
    if ! hasMakefile; then
        echo "install: there is no Makefile; say with installPhase what goes into \$out" >&2
        exit 1
    fi
    mkdir -p "${prefix:-$out}"
    runMake prefix="${prefix:-$out}" PREFIX="${prefix:-$out}" ${installFlags-} ${installTargets:-install}
}

fixupPhase_() { :; }

# phase unpack Unpack: the derivation's own `unpackPhase`, else the one above, between its hooks.
phase() {
    eval "skip=\${dont$2-} own=\${$1Phase-}"
    if [ -n "$skip" ]; then return; fi
    echo "Running phase: $1Phase"
    if [ -n "$own" ]; then
        eval "$own"
    else
        runHook "pre$2"
        "$1Phase_"
        runHook "post$2"
    fi
    if [ "$1" = unpack ]; then cd "${sourceRoot:-.}"; fi
}

cd "$NIX_BUILD_TOP"
if [ -n "${buildCommand-}" ]; then
    eval "$buildCommand"
    exit 0
fi
phase unpack Unpack
phase patch Patch
phase configure Configure
phase build Build
if [ -n "${doCheck-}" ]; then phase check Check; fi
phase install Install
phase fixup Fixup
