//! `tests/judges/install` and `tests/judges/steps.bash` with commands that fail as told: what is tried
//! again, how long, and how a registry that does not answer is told from a test that fails.
#![allow(clippy::disallowed_methods, reason = "scripts are run, and files are what they leave")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic is how a test fails")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};

/// A folder with a `sleep` that only notes for how long, and a command that fails some times.
struct Scene {
    folder: PathBuf,
}

impl Drop for Scene {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.folder).expect("ours");
    }
}

impl Scene {
    fn new() -> Self {
        static SCENES: AtomicU32 = AtomicU32::new(0);
        let number = SCENES.fetch_add(1, Ordering::Relaxed);
        let scene = Self {
            folder: std::env::temp_dir().join(format!("larder-install-{}-{number}", std::process::id())),
        };
        fs::create_dir_all(&scene.folder).expect("writable");
        scene.program("sleep", "echo \"$1\" >>\"$SCENE/slept\"");
        // What it prints counts its calls; it succeeds in the call named by SUCCEEDS_AT.
        scene.program(
            "fetch",
            "echo . >>\"$SCENE/calls\"; calls=$(wc -l <\"$SCENE/calls\"); echo \"call $calls\"
             [ \"$calls\" -ge \"${SUCCEEDS_AT:-1000}\" ] || { echo 'no route to the registry' >&2; exit 3; }",
        );
        scene
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn program(&self, name: &str, script: &str) {
        let path = self.path(name);
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).expect("writable");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("ours");
    }

    /// Runs a line of bash in the checkout, with the scene's programs first in PATH.
    fn bash(&self, line: &str, environment: &[(&str, &str)]) -> Output {
        let path = format!("{}:{}", self.folder.display(), std::env::var("PATH").unwrap_or_default());
        Command::new("bash")
            .args(["-c", line])
            .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")))
            .env("PATH", path)
            .env("SCENE", &self.folder)
            .env("LARDER_INSTALL_FAILURES", self.path("failures"))
            .env_remove("CI")
            .envs(environment.iter().copied())
            .output()
            .expect("bash")
    }

    fn lines(&self, name: &str) -> Vec<String> {
        fs::read_to_string(self.path(name)).unwrap_or_default().lines().map(str::to_owned).collect()
    }
}

fn text(octets: &[u8]) -> String {
    String::from_utf8_lossy(octets).into_owned()
}

const FETCH: &str = "tests/judges/install other thing fetch";

#[test]
fn an_install_is_tried_again_after_growing_waits() {
    let scene = Scene::new();
    let ended = scene.bash(FETCH, &[("SUCCEEDS_AT", "4")]);
    assert_eq!(ended.status.code(), Some(0), "{}", text(&ended.stderr));
    assert_eq!(text(&ended.stdout), "call 4\n", "what a failed try printed is not the output");
    assert_eq!(scene.lines("slept"), ["5", "15", "45"]);
    assert!(scene.lines("failures").is_empty());
}

#[test]
fn an_install_that_never_succeeds_says_what_how_often_and_why() {
    let scene = Scene::new();
    let ended = scene.bash(FETCH, &[]);
    assert_eq!(ended.status.code(), Some(75));
    let said = "install of thing failed after 4 tries: no route to the registry";
    assert_eq!(text(&ended.stderr).lines().last(), Some(said));
    assert_eq!(scene.lines("failures"), [format!("thing\t{said}")]);
    // The registry was given its time: what else is wanted of it is tried once.
    let ended = scene.bash(FETCH, &[]);
    assert_eq!(ended.status.code(), Some(75));
    assert!(text(&ended.stderr).contains("failed after 1 try: "), "{}", text(&ended.stderr));
    assert_eq!(scene.lines("calls").len(), 5);
    // Another registry has its own tries.
    let ended = scene.bash("tests/judges/install other another fetch", &[("SUCCEEDS_AT", "7")]);
    assert_eq!(ended.status.code(), Some(0));
}

#[test]
fn a_try_and_all_of_them_are_bounded_in_time() {
    let scene = Scene::new();
    scene.program("hang", "exec tail -f /dev/null");
    let hang = "tests/judges/install other thing hang";
    let ended = scene.bash(hang, &[("LARDER_INSTALL_TRY_S_MAX", "1"), ("LARDER_INSTALL_WAITS", "2")]);
    assert_eq!(ended.status.code(), Some(75));
    assert!(text(&ended.stderr).contains("after 2 tries: no end within 1 s"), "{}", text(&ended.stderr));
    // No wait that would go past the end of the time is begun.
    let other = Scene::new();
    let ended = other.bash(FETCH, &[("LARDER_INSTALL_S_MAX", "5")]);
    assert!(text(&ended.stderr).contains("failed after 1 try: "), "{}", text(&ended.stderr));
    assert!(other.lines("slept").is_empty());
}

/// Three steps: one that passes, one that is not installed, and `last`.
fn steps(scene: &Scene, last: &str, environment: &[(&str, &str)]) -> Output {
    let line = format!(
        "set -euo pipefail; source tests/judges/steps.bash
         step good true || true; step fetching {FETCH} || true; step last {last} || true
         summary"
    );
    scene.bash(&line, environment)
}

#[test]
fn a_step_whose_install_fails_is_not_run_rather_than_failed() {
    let scene = Scene::new();
    let ended = steps(&scene, "true", &[]);
    let said = text(&ended.stdout);
    let expected = "  not run  fetching: install of thing failed after 4 tries: no route to the registry";
    assert!(said.lines().any(|line| line == expected), "{said}");
    assert!(said.contains("steps: 2 passed, 0 failed, 1 skipped") && !said.contains("FAILED"), "{said}");
    assert_eq!(ended.status.code(), Some(0), "a failure in CI alone");
    let ended = steps(&Scene::new(), "true", &[("CI", "true")]);
    assert_eq!(ended.status.code(), Some(1));
    let said = text(&ended.stdout);
    assert!(said.contains("no test failed: 1 of the steps could not be installed"), "{said}");
}

#[test]
fn a_step_that_fails_is_a_failure_beside_what_was_not_installed() {
    let ended = steps(&Scene::new(), "false", &[]);
    let said = text(&ended.stdout);
    assert_eq!(ended.status.code(), Some(1));
    assert!(said.contains("  FAILED   last (") && said.contains("1 passed, 1 failed, 1 skipped"), "{said}");
}

#[test]
fn a_missing_command_is_told_with_the_install_that_failed() {
    let scene = Scene::new();
    scene.program("apt-get", "echo 'no route to the mirror' >&2; exit 100");
    let line = "set -euo pipefail; source tests/judges/steps.bash
        can_install() { true; }
        if needs before tests/judges/install no-such-command; then exit 9; fi
        install_tools no-such-command:some-package
        if needs judge tests/judges/install no-such-command; then exit 9; fi
        summary";
    let ended = scene.bash(line, &[]);
    let said = text(&ended.stdout);
    assert_eq!(ended.status.code(), Some(0), "{said}{}", text(&ended.stderr));
    let expected = [
        "  not run  judge: missing no-such-command; install of some-package failed after 4 tries: no route to the mirror",
        "  not run  before: missing no-such-command",
    ];
    for line in expected {
        assert!(said.lines().any(|said| said == line), "{said}");
    }
}
