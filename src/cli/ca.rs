//! `larder ca`: the interception authority made, shown, installed where clients look, and
//! replaced.

use std::io::{self, Write as _};
use std::process::ExitCode;

use anyhow::Context as _;

use crate::clock::Clock;
use crate::config::{Environment, Settings};
use crate::tls::{Authority, RootCertificate};

use super::args::{CaArgs, CaCommand, ExportArgs, InstallArgs, UninstallArgs};
use super::environment::bundle;
use super::output::{bad_config, print};
use super::trust::{Found, Places, Root, Step, Store, StoreKind};

/// `larder ca`.
pub fn ca(command: &CaCommand) -> anyhow::Result<ExitCode> {
    match command {
        CaCommand::Init(args) => with(args, init),
        CaCommand::Export(args) => with(&args.ca, |settings| export(args, settings)),
        CaCommand::Install(args) => with(&args.ca, |settings| install(args, settings)),
        CaCommand::Uninstall(args) => with(&args.install.ca, |settings| uninstall(args, settings)),
        CaCommand::Path(args) => with(args, path),
        CaCommand::Rotate(args) => with(args, rotate),
    }
}

fn with(args: &CaArgs, run: impl FnOnce(&Settings) -> anyhow::Result<ExitCode>) -> anyhow::Result<ExitCode> {
    match args.settings() {
        Ok(settings) => run(&settings),
        Err(error) => Ok(bad_config(&error)),
    }
}

fn init(settings: &Settings) -> anyhow::Result<ExitCode> {
    let is_new = Authority::find(&settings.ca_dir)?.is_none();
    let authority = open(settings)?;
    let mut lines = describe(&authority);
    lines.push(if is_new {
        "It is new, and nobody trusts it yet: `larder ca install` tells this machine's clients to.".to_owned()
    } else {
        "It was there already.".to_owned()
    });
    print(&lines)
}

fn path(settings: &Settings) -> anyhow::Result<ExitCode> {
    print(&[existing(settings)?.certificate_path().display().to_string()])
}

fn export(args: &ExportArgs, settings: &Settings) -> anyhow::Result<ExitCode> {
    let authority = existing(settings)?;
    let text = if args.bundle {
        bundle(&authority, settings, &Environment::of_process())?
    } else {
        authority.pem().to_owned()
    };
    match &args.out {
        None => {
            io::stdout().write_all(text.as_bytes())?;
            Ok(ExitCode::SUCCESS)
        }
        Some(file) => {
            let from = authority.certificate_path();
            Step::Copy { from, text, to: file.clone() }.take()?;
            print(&[format!("{} is in {}", authority.name(), file.display())])
        }
    }
}

fn rotate(settings: &Settings) -> anyhow::Result<ExitCode> {
    let constraints = &settings.intercept.name_constraints;
    let (authority, previous) = Authority::rotate(&settings.ca_dir, constraints, &Clock::system())?;
    let mut lines = describe(&authority);
    if let Some(previous) = previous {
        lines.push(format!("It replaces {previous}, whose key is gone. What is to be done now:"));
        lines.push("  1. larder ca install      and the same wherever clients trust the old one".to_owned());
        lines.push("  2. restart larder         until then, one that runs signs with the old one".to_owned());
        lines.push("  3. larder ca uninstall --previous".to_owned());
    }
    print(&lines)
}

fn install(args: &InstallArgs, settings: &Settings) -> anyhow::Result<ExitCode> {
    // Who only wants to see makes nothing.
    let authority = if args.dry_run { existing(settings)? } else { open(settings)? };
    let root = Root::new(authority.root(), authority.certificate_path());
    let mut report = Report::new(args.dry_run, format!("Larder's certificate: {}", root.file.display()));
    let found = found(args);
    for store in &found.stores {
        if store.has(&root) {
            report.line(format!("{}: it is there already", store.name()));
        } else {
            report.take(store.as_ref(), &store.install(&root));
        }
    }
    for (_, what) in &found.missing {
        report.failed(what.clone());
    }
    if found.stores.is_empty() && found.missing.is_empty() {
        report.failed("no store of certificates was found; give the certificate to your clients".to_owned());
    }
    report.line("To undo it: larder ca uninstall".to_owned());
    report.end()
}

fn uninstall(args: &UninstallArgs, settings: &Settings) -> anyhow::Result<ExitCode> {
    let authority = existing(settings)?;
    let mut certificates = authority.previous()?;
    if !args.previous {
        certificates.push(authority.root());
    }
    let root = |certificate: RootCertificate| Root::new(certificate, authority.certificate_path());
    let roots: Vec<Root> = certificates.into_iter().map(root).collect();
    let names: Vec<&str> = roots.iter().map(|root| root.label.as_str()).collect();
    let names = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
    let mut report = Report::new(args.install.dry_run, format!("To be taken out: {names}"));
    let found = found(&args.install);
    for store in &found.stores {
        let there: Vec<&Root> = roots.iter().filter(|root| store.has(root)).collect();
        if there.is_empty() {
            report.line(format!("{}: it is not there", store.name()));
        }
        for root in there {
            report.take(store.as_ref(), &store.uninstall(root));
        }
    }
    for (_, what) in &found.missing {
        report.failed(what.clone());
    }
    report.line(format!("The authority itself stays in {}", settings.ca_dir.display()));
    report.end()
}

fn open(settings: &Settings) -> anyhow::Result<Authority> {
    Ok(Authority::open(&settings.ca_dir, &settings.intercept.name_constraints, &Clock::system())?)
}

fn existing(settings: &Settings) -> anyhow::Result<Authority> {
    let authority = Authority::find(&settings.ca_dir)?;
    authority.with_context(|| {
        format!("there is no authority in {} yet: `larder ca init` makes one", settings.ca_dir.display())
    })
}

fn describe(authority: &Authority) -> Vec<String> {
    vec![
        format!("authority    {}", authority.name()),
        format!("certificate  {}", authority.certificate_path().display()),
        format!("SHA-256      {}", authority.fingerprint()),
        format!("good until   {}", authority.not_after().to_http_date()),
    ]
}

fn found(args: &InstallArgs) -> Found {
    Found::on(&Places::of(&Environment::of_process())).only(&args.only)
}

/// What is told of a run, and whether all of it was done.
struct Report {
    dry_run: bool,
    lines: Vec<String>,
    is_complete: bool,
}

impl Report {
    fn new(dry_run: bool, first: String) -> Report {
        Report { dry_run, lines: vec![first], is_complete: true }
    }

    fn line(&mut self, line: String) {
        self.lines.push(line);
    }

    fn failed(&mut self, what: String) {
        self.lines.push(what);
        self.is_complete = false;
    }

    /// Takes the steps, or only shows them; the first that fails is the last.
    fn take(&mut self, store: &dyn Store, steps: &[Step]) {
        self.line(format!("{}:", store.name()));
        for (index, step) in steps.iter().enumerate() {
            self.line(format!("  {step}"));
            if self.dry_run {
                continue;
            }
            if let Err(error) = step.take() {
                self.failed(format!("  failed: {error:#}"));
                // What is the user's own needs no other user.
                let by = if store.kind() == StoreKind::Nss { "" } else { "sudo " };
                let rest: Vec<String> = steps.iter().skip(index).map(|step| format!("{by}{step}")).collect();
                self.line(format!("  by hand: {}", rest.join(" && ")));
                return;
            }
        }
    }

    fn end(mut self) -> anyhow::Result<ExitCode> {
        if self.dry_run {
            self.line("Nothing was changed (--dry-run)".to_owned());
        }
        print(&self.lines)?;
        Ok(if self.is_complete { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}
