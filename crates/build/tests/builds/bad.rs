//! Builds that go wrong: what is said, and that nothing is left.

use std::io::Read as _;
use std::time::{Duration, Instant};

use nival_build::sandbox::{ExitStatus, SpawnError};
use nival_build::{
    BuildError, BuildFailure, DerivedPath, FailureKind, LogFormat, SandboxMode, WantedOutputs, log,
    query_missing, realise,
};
use nival_formats::{
    ContentAddress, ContentAddressMethod, DerivationOutput, Hash, HashAlgo, StructuredAttrs,
};

use crate::support::{Stage, builtin, fixed, needs, shell, with_env, with_outputs};

const HOST: (&str, &str) = ("__impureHostDeps", "/usr /bin /lib /lib64 /etc/ld.so.cache");

/// Runs a script that must fail, and checks that the store is as it was.
fn fails(stage: &Stage, script: &str, variables: &[(&str, &str)]) -> Option<BuildFailure> {
    let derivation = stage.write(with_env(shell("bad", script), variables));
    let failure = stage.fail(&derivation)?;
    stage.assert_clean();
    Some(failure)
}

#[test]
fn a_failing_builder_shows_its_last_lines_and_where_the_log_is() {
    let mut stage = Stage::new();
    stage.options.log_lines = 3;
    let script = "i=0; while [ $i -lt 50 ]; do echo line $i; i=$((i+1)); done; exit 7";
    let Some(failure) = fails(&stage, script, &[]) else { return };
    assert!(matches!(failure.kind, FailureKind::Builder(ExitStatus::Code(7))));
    assert_eq!(failure.log_tail, ["line 47", "line 48", "line 49"]);
    let text = failure.render("nix");
    let (drv, out) = (&failure.derivation, &failure.outputs[0]);
    let expected = format!(
        "Cannot build '{drv}'.\nReason: builder failed with exit code 7.\nOutput paths:\n  {out}\nLast 3 log lines:\n\
         > line 47\n> line 48\n> line 49\nFor full logs, run:\n  nix log {drv}"
    );
    assert_eq!(text, expected);
    let file = failure.log_file.unwrap();
    assert!(file.exists());
    let derivation = stage.store.parse(drv).unwrap();
    let mut whole = String::new();
    log(&stage.store.config().log_dir, &derivation).unwrap().unwrap().read_to_string(&mut whole).unwrap();
    assert_eq!(whole.lines().count(), 50);
    let error = BuildError::Failed(vec![BuildFailure { log_file: None, ..failure }]);
    assert_eq!(error.exit_code(), 100);
}

#[test]
fn scripts_that_break_the_rules() {
    let other = "/nix/store/00000000000000000000000000000000-other";
    for (script, reason) in [
        ("true", "builder failed to produce output path for output 'out' at '/nix/store/"),
        (&*format!("echo > {other}"), "failed to produce output path"),
        ("echo > $out; /usr/bin/chmod 777 $out", "suspicious ownership or permission"),
        ("/usr/bin/mkfifo $out", "named pipe"),
        ("/usr/bin/mkdir $out; /usr/bin/mkfifo $out/fifo; /usr/bin/chmod 555 $out", "named pipe"),
        ("/no/such/program", "failed with exit code 127"),
        ("/usr/bin/python3 -c 'import os; os.abort()' || exit 134", "failed with exit code"),
    ] {
        let stage = Stage::new();
        let Some(failure) = fails(&stage, script, &[HOST]) else { return };
        assert!(failure.kind.to_string().contains(reason), "{script}: {}", failure.kind);
    }
}

#[test]
fn a_builder_cannot_touch_its_inputs_or_the_host() {
    let stage = Stage::new();
    let input = stage.store.add_text("input", b"text", &[]).unwrap();
    let path = stage.store.display(&input);
    let state = stage.store.config().state_dir.display().to_string();
    let script = format!(
        "echo x > {path} && exit 1; /usr/bin/rm -f {path} && exit 2; /usr/bin/touch {path} && exit 3; \
         [ -e {state} ] && exit 4; [ -e /root ] && exit 5; echo x > /usr/x && exit 6; \
         true >> /proc/sys/kernel/core_pattern && exit 7; [ -e /nix/store/.links ] && exit 8; echo > $out"
    );
    let mut derivation = with_env(shell("touch", &script), &[HOST]);
    derivation.input_sources.insert(input.clone());
    if stage.build(&stage.write(derivation)).is_some() {
        assert_eq!(stage.text(&input), "text");
    }
}

#[test]
fn builders_without_end() {
    let limit = Duration::from_millis(500);
    let mut stage = Stage::new();
    stage.options.timeout = Some(limit);
    let started = Instant::now();
    if let Some(failure) = fails(&stage, "while :; do :; done & while :; do :; done", &[]) {
        assert_eq!(failure.kind.to_string(), "timed out after 0.5 seconds");
        assert_eq!(BuildError::Failed(vec![failure]).exit_code(), 101);
    }
    let mut stage = Stage::new();
    stage.options.max_silent_time = Some(limit);
    if let Some(failure) = fails(&stage, "echo a; while :; do :; done", &[]) {
        assert_eq!(failure.kind.to_string(), "timed out after 0.5 seconds of silence");
        assert_eq!(failure.log_tail, ["a"]);
    }
    assert!(started.elapsed() < Duration::from_secs(20));
}

#[test]
fn output_without_end() {
    let mut stage = Stage::new();
    stage.options.log_format = LogFormat::Plain;
    // 100 MB of lines, and a line of 10 MB.
    let script = "/usr/bin/yes $(/usr/bin/seq 1000) | /usr/bin/head -c 100000000; \
                  /usr/bin/head -c 10000000 /dev/zero; exit 1";
    if let Some(failure) = fails(&stage, script, &[HOST]) {
        assert_eq!(failure.log_tail.len(), 25);
    }
    stage.options.max_log_size = Some(1000);
    if let Some(failure) = fails(&stage, script, &[HOST]) {
        assert_eq!(failure.kind.to_string(), "killed after writing more than 1000 bytes of log output");
    }
}

#[test]
fn a_daemon_does_not_outlive_its_build() {
    let stage = Stage::new();
    let mark = stage.folder.path().join("mark");
    let script = "/usr/bin/setsid /usr/bin/sleep 300 > /dev/null 2>&1 < /dev/null & echo > $out";
    let started = Instant::now();
    let derivation =
        stage.write(with_env(shell("daemon", script), &[HOST, ("mark", mark.to_str().unwrap())]));
    if stage.build(&derivation).is_some() {
        let mark = mark.to_str().unwrap().as_bytes();
        let left = std::fs::read_dir("/proc").unwrap().flatten().any(|entry| {
            std::fs::read(entry.path().join("environ"))
                .is_ok_and(|environment| environment.windows(mark.len()).any(|window| window == mark))
        });
        assert!(!left);
    }
    assert!(started.elapsed() < Duration::from_secs(20));
}

#[test]
fn wrong_fixed_outputs() {
    let stage = Stage::new();
    let (method, hash) = (ContentAddressMethod::Flat, Hash::zero(HashAlgo::Sha256));
    let derivation = stage.write(fixed("wrong", "echo hello > $out", ContentAddress { method, hash }));
    if let Some(failure) = stage.fail(&derivation) {
        let got = Hash::sha256(b"hello\n").to_sri();
        let expected = format!(
            "hash mismatch in fixed-output derivation:\n  specified: {}\n     got:    {got}",
            hash.to_sri()
        );
        assert_eq!(failure.kind.to_string(), expected);
        assert!(failure.hint().unwrap().contains(&got));
        assert_eq!(BuildError::Failed(vec![failure]).exit_code(), 102);
        stage.assert_clean();
    }
    let derivation =
        with_env(fixed("folder", "/usr/bin/mkdir $out", ContentAddress { method, hash }), &[HOST]);
    if let Some(failure) = stage.fail(&stage.write(derivation)) {
        assert!(failure.kind.to_string().contains("non-executable regular file"), "{}", failure.kind);
        stage.assert_clean();
    }
}

#[test]
fn checks_of_references_and_sizes() {
    let stage = Stage::new();
    let input = stage.store.add_text("input", b"text", &[]).unwrap();
    let path = stage.store.display(&input);
    let script = format!("echo {path} $out > $out");
    for (variables, good) in [
        (&[("allowedReferences", "")][..], false),
        (&[("allowedReferences", "out")], false),
        (&[("allowedReferences", &*format!("out {path}"))], true),
        (&[("allowedReferences", "nothing")], false),
        (&[("allowedRequisites", &*path)], true),
        (&[("disallowedReferences", &*path)], false),
        (&[("disallowedReferences", "out")], false),
        (&[("disallowedRequisites", &*path)], false),
        (&[("disallowedRequisites", "out")], true),
    ] {
        let mut derivation = with_env(shell("checked", &script), variables);
        derivation.input_sources.insert(input.clone());
        let derivation = stage.write(derivation);
        if good {
            stage.build(&derivation);
        } else if let Some(failure) = stage.fail(&derivation) {
            assert!(matches!(failure.kind, FailureKind::OutputRejected(_)), "{}", failure.kind);
            stage.assert_clean();
        }
    }
    for (checks, reason) in [
        (r#"{"maxSize":10}"#, "is too large"),
        (r#"{"maxClosureSize":10}"#, "is too large"),
        (r#"{"allowedReferences":[]}"#, "not allowed to refer"),
    ] {
        let mut derivation = shell(
            "structured",
            "read j < $NIX_ATTRS_JSON_FILE; out=${j##*\\\"out\\\":\\\"}; out=${out%%\\\"*}; echo $out > $out",
        );
        derivation.env.clear();
        let json = format!(r#"{{"outputChecks":{{"out":{checks}}}}}"#);
        derivation.structured_attrs = Some(StructuredAttrs::parse(json.as_bytes()).unwrap());
        if let Some(failure) = stage.fail(&stage.write(derivation)) {
            assert!(failure.kind.to_string().contains(reason), "{}", failure.kind);
        }
    }
}

#[test]
fn outputs_that_refer_to_each_other() {
    let stage = Stage::new();
    let derivation = with_outputs(shell("cycle", "echo $dev > $out; echo $out > $dev"), &["out", "dev"]);
    if let Some(failure) = stage.fail(&stage.write(derivation)) {
        assert!(failure.kind.to_string().contains("cycle"), "{}", failure.kind);
        stage.assert_clean();
    }
}

#[test]
fn what_this_machine_does_not_grant() {
    let stage = Stage::new();
    for (variables, system, reason) in [
        (&[][..], "sparc-solaris", "platform mismatch\nRequired system: 'sparc-solaris'"),
        (&[("requiredSystemFeatures", "magic")], "", "missing system features\nRequired features: {magic}"),
        (&[("__noChroot", "1")], "", "'__noChroot' set, but that's not allowed"),
        (&[("__impureHostDeps", "/root")], "", "not in allowed-impure-host-deps"),
        (&[("__impureHostDeps", "/usr/../root")], "", "not in allowed-impure-host-deps"),
        (&[("exportReferencesGraph", "x")], "", "odd number"),
        (&[("exportReferencesGraph", "x /etc")], "", "not in the Nix store"),
    ] {
        let mut derivation = with_env(shell("refused", "echo > $out"), variables);
        if !system.is_empty() {
            derivation.system = system.into();
        }
        let Err(BuildError::Failed(failures)) = stage.realise(&[stage.write(derivation)]) else { panic!() };
        assert!(failures[0].kind.to_string().contains(reason), "{}", failures[0].kind);
        stage.assert_clean();
    }
    let mut stage = Stage::new();
    stage.options.max_jobs = 0;
    let failure = stage.fail(&stage.shell("jobs", "")).unwrap();
    assert!(failure.kind.to_string().contains("max-jobs = 0"));
}

#[test]
fn a_builder_that_is_not_there() {
    let stage = Stage::new();
    let mut derivation = shell("missing", "");
    derivation.builder = "/usr/bin/env".into();
    if let Some(failure) = stage.fail(&stage.write(derivation)) {
        assert!(matches!(failure.kind, FailureKind::Start(SpawnError::Execute { .. })));
        assert!(failure.hint().unwrap().contains("__impureHostDeps"));
        stage.assert_clean();
    }
}

#[test]
fn failures_spread_to_what_needs_them() {
    let mut stage = Stage::new();
    let text = |name: &str| stage.write(builtin("builtin:nival-text", name, &[("text", "x")]));
    let broken = |name: &str| stage.write(builtin("builtin:nival-text", name, &[]));
    let (good, bad, worse) = (text("good"), broken("bad"), broken("worse"));
    let top =
        stage.write(needs(builtin("builtin:nival-text", "top", &[("text", "")]), &[&bad, &good, &worse]));
    let over = stage.write(needs(builtin("builtin:nival-text", "over", &[("text", "")]), &[&top]));
    let Err(BuildError::Failed(failures)) = stage.realise(std::slice::from_ref(&over)) else { panic!() };
    assert_eq!(failures.len(), 3);
    assert_eq!(failures[0].log_tail, ["error: attribute 'text' missing"]);
    assert_eq!(failures[1].kind.to_string(), "1 dependency failed");

    stage.options.keep_going = true;
    let Err(BuildError::Failed(failures)) = stage.realise(&[over]) else { panic!() };
    let kinds: Vec<String> = failures.iter().map(|failure| failure.kind.to_string()).collect();
    assert!(kinds.contains(&"2 dependencies failed".to_owned()), "{kinds:?}");
    assert_eq!(kinds.len(), 4);
    let wanted = [DerivedPath { derivation: good, outputs: WantedOutputs::All }];
    assert!(query_missing(&stage.store, &wanted).unwrap().will_build.is_empty());
    stage.assert_clean();
}

#[test]
fn wrong_requests() {
    let stage = Stage::new();
    let derivation = stage.shell("x", "");
    let names = WantedOutputs::Names(["dev".to_owned()].into());
    let wanted = [DerivedPath { derivation, outputs: names }];
    let error = realise(&stage.store, &wanted, &stage.options, &|_| {}).unwrap_err();
    assert!(error.to_string().ends_with("does not have an output named 'dev'"), "{error}");

    let missing = "00000000000000000000000000000000-x.drv".parse().unwrap();
    assert!(matches!(stage.realise(&[missing]), Err(BuildError::Store(_))));

    let mut floating = shell("floating", "");
    let output = DerivationOutput::CaFloating(ContentAddressMethod::NixArchive, HashAlgo::Sha256);
    floating.outputs = [("out".to_owned(), output)].into();
    let floating = stage.store.write_derivation(&floating).unwrap();
    let error = stage.realise(&[floating]).unwrap_err();
    assert!(error.to_string().contains("not supported yet"), "{error}");
}

#[test]
fn failed_builds_are_kept_where_asked_for() {
    let mut stage = Stage::new();
    stage.options.keep_failed = true;
    let derivation = stage.shell("kept", "echo x > file; exit 1");
    if let Some(failure) = stage.fail(&derivation) {
        let folder = failure.kept_build_dir.unwrap();
        assert_eq!(std::fs::read_to_string(folder.join("file")).unwrap(), "x\n");
    }
}

#[test]
fn read_only_folders_are_removed() {
    for stage in [Stage::new(), Stage::in_place()] {
        let script = "/usr/bin/mkdir -p a/b $out/c; echo > a/b/x; echo > $out/c/x; \
                      /usr/bin/chmod 555 a/b a $out/c $out; exit 1";
        fails(&stage, script, if stage.options.sandbox == SandboxMode::Disabled { &[] } else { &[HOST] });
    }
}

#[test]
fn a_colliding_environment_names_both_files() {
    let stage = Stage::new();
    let text = |name: &str| {
        stage.write(builtin("builtin:nival-text", name, &[("text", name), ("destination", "bin/tool")]))
    };
    let (a, b) = (text("a"), text("b"));
    let realised = stage.realise(&[a.clone(), b.clone()]).unwrap();
    let paths: Vec<String> = realised.iter().map(|one| stage.store.display(&one.outputs["out"])).collect();
    let packages = format!("true 5 1 {} true 5 1 {}", paths[0], paths[1]);
    let environment = builtin("builtin:buildenv", "env", &[("derivations", &packages)]);
    let failure = stage.fail(&stage.write(needs(environment, &[&a, &b]))).unwrap();
    let text = failure.to_string();
    assert!(paths.iter().all(|path| text.contains(&format!("{path}/bin/tool"))), "{text}");
    stage.assert_clean();
}
