//! NSS databases: Firefox has one in each profile, Chromium one for the user. `certutil` changes
//! them; it comes with NSS and not with the browsers.

use std::path::PathBuf;

use super::step::says_yes;
use super::{Found, Places, Root, Step, Store, StoreKind, folders_in};

/// Where Firefox has its profiles: from a package, a snap, a flatpak.
const PROFILES: &[&str] = &[
    ".mozilla/firefox",
    ".config/mozilla/firefox",
    "snap/firefox/common/.mozilla/firefox",
    ".var/app/org.mozilla.firefox/.mozilla/firefox",
];

/// Where Chromium and its kin have theirs.
const SHARED: &[&str] = &[".pki/nssdb", "snap/chromium/current/.pki/nssdb"];

/// Browsers that read the shared database, and make it when they have a reason to.
const CHROMIUMS: &[&str] = &[
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "microsoft-edge",
    "brave-browser",
];

struct Database {
    certutil: PathBuf,
    folder: PathBuf,
    whose: &'static str,
    is_new: bool,
}

/// Finds the databases of this user.
pub(super) fn find(places: &Places, found: &mut Found) {
    let profiles = PROFILES.iter().filter_map(|path| places.in_home(path));
    let firefox = profiles.flat_map(|folder| folders_in(&folder)).map(|folder| (folder, "Firefox"));
    let by_xdg = places.xdg_data.clone().or_else(|| places.in_home(".local/share"));
    let shared = SHARED.iter().filter_map(|path| places.in_home(path));
    let shared = shared.chain(by_xdg.map(|data| data.join("pki/nssdb")));
    let mut databases: Vec<(PathBuf, &str)> =
        firefox.chain(shared.map(|folder| (folder, "Chromium"))).collect();
    databases.retain(|(folder, _)| folder.join("cert9.db").is_file());
    let has_shared = databases.iter().any(|(_, whose)| *whose == "Chromium");
    // A Chromium that has never needed one finds this one.
    let new = places
        .in_home(".pki/nssdb")
        .filter(|_| !has_shared && CHROMIUMS.iter().any(|browser| places.program(browser).is_some()));
    if databases.is_empty() && new.is_none() {
        return;
    }
    let Some(certutil) = places.program("certutil") else {
        let what = "certutil is missing, without which browsers can't be told: install libnss3-tools (Debian), \
                    nss-tools (Fedora) or mozilla-nss-tools (openSUSE) and try again; or import the certificate \
                    by hand in the browser's settings";
        found.missing.push((StoreKind::Nss, what.to_owned()));
        return;
    };
    let databases = databases.into_iter().map(|(folder, whose)| (folder, whose, false));
    for (folder, whose, is_new) in databases.chain(new.map(|folder| (folder, "Chromium", true))) {
        found.stores.push(Box::new(Database { certutil: certutil.clone(), folder, whose, is_new }));
    }
}

impl Database {
    fn argument(&self) -> String {
        format!("sql:{}", self.folder.display())
    }
}

impl Store for Database {
    fn name(&self) -> String {
        format!("{} ({})", self.whose, self.folder.display())
    }

    fn kind(&self) -> StoreKind {
        StoreKind::Nss
    }

    fn has(&self, root: &Root) -> bool {
        !self.is_new && says_yes(&self.certutil, &["-L", "-d", &self.argument(), "-n", &root.label])
    }

    fn install(&self, root: &Root) -> Vec<Step> {
        let (database, file) = (self.argument(), root.file.display().to_string());
        let mut steps = Vec::new();
        if self.is_new {
            steps.push(Step::MakeFolder(self.folder.clone()));
            steps.push(Step::run(&self.certutil, &["-N", "-d", &database, "--empty-password"]));
        }
        // "C": trusted to sign for servers, and for nothing else.
        let add = ["-A", "-d", &database, "-n", &root.label, "-t", "C,,", "-i", &file];
        steps.push(Step::run(&self.certutil, &add));
        steps
    }

    fn uninstall(&self, root: &Root) -> Vec<Step> {
        vec![Step::run(&self.certutil, &["-D", "-d", &self.argument(), "-n", &root.label])]
    }
}
