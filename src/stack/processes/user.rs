//! Users of this machine, by name.

/// A user's number and that of its group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct User {
    pub(super) uid: u32,
    pub(super) gid: u32,
}

/// The user that a service runs as; `None` where that is ourselves, as only root may be another.
///
/// # Errors
/// When there is no such user.
pub(super) fn find(name: &str) -> Result<Option<User>, String> {
    if !rustix::process::getuid().is_root() {
        return Ok(None);
    }
    let known = std::fs::read_to_string("/etc/passwd").map_err(|error| format!("/etc/passwd: {error}"))?;
    match among(&known, name) {
        Some(user) => Ok(Some(user)),
        None => Err(format!("this machine has no user `{name}`")),
    }
}

fn among(known: &str, name: &str) -> Option<User> {
    known.lines().find_map(|line| {
        let mut fields = line.split(':');
        let named = fields.next()? == name;
        let (uid, gid) = (fields.nth(1)?.parse().ok()?, fields.next()?.parse().ok()?);
        named.then_some(User { uid, gid })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_found_by_name() {
        let known = "root:x:0:0:root:/root:/bin/bash\npostgres:x:106:113::/var/lib/postgresql:/bin/bash\n";
        assert_eq!(among(known, "postgres"), Some(User { uid: 106, gid: 113 }));
        assert_eq!(among(known, "nobody"), None);
    }
}
