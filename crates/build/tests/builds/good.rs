//! Builds that go well.

use std::collections::BTreeSet;
use std::io::Read as _;
use std::time::Duration;

use crate::support::{Stage, builtin, fixed, needs, shell, with_env, with_outputs};
use nival_build::{DerivedPath, LogFormat, WantedOutputs, log, query_missing, realise};
use nival_formats::{ContentAddress, ContentAddressMethod, Hash, StructuredAttrs};

#[test]
fn a_chain_is_built_once_and_in_order() {
    let stage = Stage::new();
    let first = stage.shell("first", "echo one > $out");
    let input = stage.store.read_derivation(&first).unwrap();
    let input = input.outputs["out"].path(stage.store.store_dir(), "first", "out").unwrap().unwrap();
    let script = format!(
        "read x < {}; echo $x two > $out; echo {} >> $out",
        stage.store.display(&input),
        stage.store.display(&input)
    );
    let second = stage.write(needs(shell("second", &script), &[&first]));
    let wanted = [DerivedPath { derivation: second.clone(), outputs: WantedOutputs::All }];
    assert_eq!(query_missing(&stage.store, &wanted).unwrap().will_build, [first.clone(), second.clone()]);

    let Some(out) = stage.build(&second) else { return };
    assert!(stage.text(&out).starts_with("one two\n"));
    let info = stage.store.query_path_info(&out).unwrap();
    assert_eq!(info.references, BTreeSet::from([input]));
    assert_eq!(info.deriver, Some(second.clone()));
    assert!(info.ultimate);
    let events = ["started first.drv", "finished first.drv", "started second.drv", "finished second.drv"];
    assert_eq!(stage.events.lock().unwrap().as_slice(), events);
    assert!(query_missing(&stage.store, &wanted).unwrap().will_build.is_empty());
    stage.build(&second).unwrap();
    assert_eq!(stage.events.lock().unwrap().len(), 4);
    stage.assert_clean();
}

#[test]
fn the_environment_is_the_references() {
    let stage = Stage::new();
    let script = "for v in PATH HOME NIX_STORE NIX_BUILD_TOP TMPDIR TEMPDIR TMP TEMP NIX_LOG_FD TERM a big bigPath; do \
                  eval echo \"$v=\\$$v\" >> $out; done; pwd >> $out; umask >> $out; \
                  while read l; do echo \"$l\" >> $out; done < $bigPath; echo $0 >> $out";
    let derivation = with_env(shell("env", script), &[("a", "x y"), ("big", "text"), ("passAsFile", "big")]);
    let Some(out) = stage.build(&stage.write(derivation)) else { return };
    let file = format!("/build/.attr-{}", Hash::sha256(b"big").to_nix32());
    let expected = format!(
        "PATH=/path-not-set\nHOME=/homeless-shelter\nNIX_STORE=/nix/store\nNIX_BUILD_TOP=/build\nTMPDIR=/build\n\
         TEMPDIR=/build\nTMP=/build\nTEMP=/build\nNIX_LOG_FD=2\nTERM=xterm-256color\na=x y\nbig=\nbigPath={file}\n\
         /build\n0022\n"
    );
    let text = stage.text(&out);
    assert!(text.starts_with(&expected), "{text}");
    assert!(text.ends_with("sh\n"), "{text}");
}

#[test]
fn structured_attributes_come_as_files() {
    let stage = Stage::new();
    let mut derivation = shell("structured", "");
    derivation.env.clear();
    let script = "while read -r l; do echo \"$l\"; done < $NIX_ATTRS_SH_FILE > /build/sh; \
                  read -r json < $NIX_ATTRS_JSON_FILE; out=${json##*\\\"out\\\":\\\"}; out=${out%%\\\"*}; \
                  while read -r l; do echo \"$l\"; done < /build/sh > $out; echo $json >> $out";
    derivation.args = vec!["-c".into(), script.into()];
    derivation.structured_attrs =
        Some(StructuredAttrs::parse(br#"{"list":["a b",1],"name":"structured"}"#).unwrap());
    let mut derivation_filled = derivation;
    derivation_filled.env.clear();
    let Some(out) = stage.build(&stage.write(derivation_filled)) else { return };
    let path = stage.store.display(&out);
    let expected = format!(
        "declare -a list=('a b' 1 )\ndeclare name='structured'\ndeclare -A outputs=(['out']='{path}' )\n\
         {{\"list\":[\"a b\",1],\"name\":\"structured\",\"outputs\":{{\"out\":\"{path}\"}}}}\n"
    );
    assert_eq!(stage.text(&out), expected);
}

#[test]
fn files_become_canonical_and_set_id_bits_are_refused() {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
    let stage = Stage::new();
    let derivation = shell(
        "modes",
        "/usr/bin/mkdir $out; echo x > $out/x; /usr/bin/chmod 6755 $out/x || echo refused; \
        /usr/bin/chmod 700 $out/x; /usr/bin/ln -s /etc/passwd $out/absolute",
    );
    let derivation = with_env(derivation, &[("__impureHostDeps", "/usr /bin /lib /lib64 /etc/ld.so.cache")]);
    let Some(out) = stage.build(&stage.write(derivation)) else { return };
    let real = stage.store.real_path(&out);
    let metadata = std::fs::metadata(real.join("x")).unwrap();
    assert_eq!(metadata.permissions().mode() & 0o7777, 0o555);
    assert_eq!((metadata.mtime(), metadata.uid()), (1, rustix::process::geteuid().as_raw()));
    assert_eq!(std::fs::read_link(real.join("absolute")).unwrap().to_str(), Some("/etc/passwd"));
    let events = stage.events.lock().unwrap();
    assert!(events.contains(&"> refused".to_owned()), "{events:?}");
    drop(events);
    stage.assert_clean();
}

#[test]
fn fixed_outputs_of_every_kind() {
    let stage = Stage::new();
    let hash = Hash::sha256(b"hello\n");
    for (name, method) in [("flat", ContentAddressMethod::Flat), ("text", ContentAddressMethod::Text)] {
        let derivation = fixed(name, "echo hello > $out", ContentAddress { method, hash });
        let derivation = stage.write(with_env(derivation, &[("impureEnvVars", "some_proxy")]));
        let Some(out) = stage.build(&derivation) else { return };
        let info = stage.store.query_path_info(&out).unwrap();
        assert_eq!(info.content_address, Some(ContentAddress { method, hash }));
    }
}

#[test]
fn several_outputs_and_those_that_exist_already() {
    let stage = Stage::new();
    let script = "echo $dev > $out; echo dev > $dev";
    let derivation = stage.write(with_outputs(shell("two", script), &["out", "dev"]));
    let Some(out) = stage.build(&derivation) else { return };
    let dev = stage.store.query_references(&out).unwrap().first().unwrap().clone();
    assert!(dev.name().ends_with("-dev"));
    stage.assert_clean();
}

#[test]
fn logs_are_kept_and_phases_told() {
    for format in [LogFormat::Bzip2, LogFormat::Plain] {
        let mut stage = Stage::new();
        stage.options.log_format = format;
        let derivation = stage.shell(
            "log",
            "echo one; echo '@nix {\"action\":\"setPhase\",\"phase\":\"buildPhase\"}' >&2; echo two >&2; echo > $out",
        );
        if stage.build(&derivation).is_none() {
            return;
        }
        let events = stage.events.lock().unwrap().clone();
        assert_eq!(events[1..4], ["> one", "phase buildPhase", "> two"]);
        let mut text = String::new();
        let log_dir = &stage.store.config().log_dir;
        log(log_dir, &derivation).unwrap().unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, "one\n@nix {\"action\":\"setPhase\",\"phase\":\"buildPhase\"}\ntwo\n");
    }
}

#[test]
fn builds_run_side_by_side() {
    let mut stage = Stage::new();
    stage.options.max_jobs = 2;
    let host = [("__impureHostDeps", "/usr /bin /lib /lib64 /etc/ld.so.cache")];
    let sleepers: Vec<_> = ["a", "b"]
        .map(|name| stage.write(with_env(shell(name, "/usr/bin/sleep 1; echo > $out"), &host)))
        .into();
    let started = std::time::Instant::now();
    match stage.realise(&sleepers) {
        Ok(realised) => assert_eq!(realised.len(), 2),
        Err(error) => assert!(error.to_string().contains("sandbox can't be had"), "{error}"),
    }
    assert!(started.elapsed() < Duration::from_millis(1900), "{:?}", started.elapsed());
}

#[test]
fn builtin_builders_need_no_sandbox() {
    let stage = Stage::new();
    let hello = stage.write(builtin(
        "builtin:nival-text",
        "hello",
        &[("text", "#!/bin/sh\necho hello\n"), ("destination", "/bin/hello"), ("executable", "1")],
    ));
    let out = stage.build(&hello).unwrap();
    let path = stage.store.display(&out);
    let environment = stage.write(needs(
        builtin(
            "builtin:buildenv",
            "env",
            &[("derivations", &format!("true 5 1 {path}")), ("manifest", "/m")],
        ),
        &[&hello],
    ));
    let environment = stage.build(&environment).unwrap();
    let link = stage.store.real_path(&environment).join("bin");
    assert_eq!(std::fs::read_link(link).unwrap().to_str(), Some(format!("{path}/bin").as_str()));
    assert_eq!(stage.store.query_references(&environment).unwrap(), BTreeSet::from([out]));
    stage.assert_clean();
}

#[test]
fn references_graphs_are_exported() {
    let stage = Stage::new();
    let input = stage.store.add_text("input", b"text", &[]).unwrap();
    let path = stage.store.display(&input);
    let mut derivation = shell("graph", "while read l; do echo \"$l\"; done < graph > $out");
    derivation.input_sources.insert(input);
    let derivation = with_env(derivation, &[("exportReferencesGraph", &format!("graph {path}"))]);
    let Some(out) = stage.build(&stage.write(derivation)) else { return };
    assert_eq!(stage.text(&out), format!("{path}\n\n0\n"));
}

#[test]
fn without_a_sandbox() {
    let stage = Stage::in_place();
    let derivation = stage.shell("plain", "echo $NIX_BUILD_TOP > $out");
    let out = stage.build(&derivation).unwrap();
    let builds = stage.store.config().state_dir.join("builds");
    assert!(stage.text(&out).starts_with(builds.to_str().unwrap()));
    stage.assert_clean();
}

#[test]
fn nothing_is_asked_for() {
    let stage = Stage::new();
    assert!(realise(&stage.store, &[], &stage.options, &|_| {}).unwrap().is_empty());
}
