//! The system's certificates: a folder for those of the administrator's, and a command that makes
//! bundles of them.

use std::path::PathBuf;

use super::{Places, Root, Step, Store, StoreKind};

/// How a family of systems does it.
struct Layout {
    family: &'static str,
    folder: &'static str,
    ending: &'static str,
    command: &'static str,
    arguments: &'static [&'static str],
    /// What makes the command forget what is gone.
    arguments_after_removal: &'static [&'static str],
}

const LAYOUTS: &[Layout] = &[
    Layout {
        family: "Debian",
        folder: "/usr/local/share/ca-certificates",
        ending: "crt",
        command: "update-ca-certificates",
        arguments: &[],
        arguments_after_removal: &["--fresh"],
    },
    Layout {
        family: "Fedora",
        folder: "/etc/pki/ca-trust/source/anchors",
        ending: "pem",
        command: "update-ca-trust",
        arguments: &["extract"],
        arguments_after_removal: &["extract"],
    },
    Layout {
        family: "openSUSE",
        folder: "/etc/pki/trust/anchors",
        ending: "pem",
        command: "update-ca-certificates",
        arguments: &[],
        arguments_after_removal: &[],
    },
    Layout {
        family: "Arch",
        folder: "/etc/ca-certificates/trust-source/anchors",
        ending: "crt",
        command: "update-ca-trust",
        arguments: &["extract"],
        arguments_after_removal: &["extract"],
    },
];

struct System {
    layout: &'static Layout,
    folder: PathBuf,
    command: PathBuf,
}

/// The system's store: the first layout of which folder and command are there.
pub(super) fn find(places: &Places) -> Option<Box<dyn Store>> {
    LAYOUTS.iter().find_map(|layout| {
        let folder = places.system(layout.folder);
        if !folder.is_dir() {
            return None;
        }
        // These commands are in folders that are not in everybody's PATH.
        let folders = ["/usr/sbin", "/usr/bin", "/sbin", "/bin"].map(|folder| places.system(folder));
        let command = folders.iter().map(|folder| folder.join(layout.command)).find(|path| path.is_file())?;
        Some(Box::new(System { layout, folder, command }) as Box<dyn Store>)
    })
}

impl System {
    fn path(&self, root: &Root) -> PathBuf {
        self.folder.join(format!("{}.{}", root.label, self.layout.ending))
    }
}

impl Store for System {
    fn name(&self) -> String {
        format!("the system's certificates ({})", self.layout.family)
    }

    fn kind(&self) -> StoreKind {
        StoreKind::System
    }

    fn has(&self, root: &Root) -> bool {
        std::fs::read_to_string(self.path(root)).is_ok_and(|text| text == root.pem)
    }

    fn install(&self, root: &Root) -> Vec<Step> {
        vec![
            Step::Copy { from: root.file.clone(), text: root.pem.clone(), to: self.path(root) },
            Step::run(&self.command, self.layout.arguments),
        ]
    }

    fn uninstall(&self, root: &Root) -> Vec<Step> {
        vec![Step::Remove(self.path(root)), Step::run(&self.command, self.layout.arguments_after_removal)]
    }
}
