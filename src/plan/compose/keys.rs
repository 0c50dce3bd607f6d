//! The keys of a Compose file: which are carried over, which make no difference here, and which would.

/// What becomes of a key of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is carried over.
    Carried,
    /// The service is the same without it, as far as a drill can tell; and why.
    Ignored(&'static str),
    /// It would be another service; and what to do.
    Unsupported(&'static str),
}

/// What a service may be told here that is carried over.
pub(super) const CARRIED: [&str; 13] = [
    "image",
    "command",
    "entrypoint",
    "environment",
    "env_file",
    "ports",
    "expose",
    "volumes",
    "tmpfs",
    "depends_on",
    "healthcheck",
    "profiles",
    "build",
];

/// What becomes of the key of that name.
pub(super) fn fate(key: &str) -> Fate {
    if CARRIED.contains(&key) || key.starts_with("x-") {
        return Fate::Carried;
    }
    match key {
        "restart" => Fate::Ignored("a service that ends stays so: drills watch what that does"),
        "container_name" | "hostname" | "labels" | "annotations" | "label_file" => {
            Fate::Ignored("names and labels are the run's own, so that runs do not disturb one another")
        }
        "logging" | "attach" => Fate::Ignored("its log is kept in the run's folder"),
        "networks" => Fate::Ignored("all services share one network, and find each other by their names"),
        "deploy" | "scale" | "mem_limit" | "mem_reservation" | "memswap_limit" | "cpus" | "cpu_shares"
        | "cpu_quota" | "cpu_period" | "cpuset" | "pids_limit" | "ulimits" | "shm_size"
        | "oom_kill_disable" => {
            Fate::Ignored("one of each service runs, without limits but those of a fault")
        }
        "stop_grace_period" | "stop_signal" | "init" | "tty" | "stdin_open" | "platform" | "pull_policy"
        | "develop" => Fate::Ignored("the engine's own way is used"),
        "cap_drop" | "security_opt" | "read_only" | "userns_mode" => {
            Fate::Ignored("the service may do more than that here")
        }
        "extends" => Fate::Unsupported("write the service out: `docker compose config` prints it whole"),
        "secrets" | "configs" => Fate::Unsupported("mount the file with `volumes`"),
        "user" | "working_dir" => {
            Fate::Unsupported("build it into the image, or give the service in the stack's own file")
        }
        "network_mode" | "extra_hosts" | "links" | "external_links" | "dns" | "dns_search" | "domainname" => {
            Fate::Unsupported("services find each other by their names, and nobody else")
        }
        "privileged"
        | "cap_add"
        | "devices"
        | "device_cgroup_rules"
        | "gpus"
        | "pid"
        | "ipc"
        | "cgroup"
        | "sysctls"
        | "runtime"
        | "group_add" => Fate::Unsupported("services get no rights beyond their own"),
        "volumes_from" => Fate::Unsupported("services share no files: mount them in each"),
        _ => Fate::Unsupported(
            "firedrill does not know it: leave it out, or give the service in the stack's own file",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_knows_is_not_passed_over() {
        assert!(matches!(fate("no_such_key"), Fate::Unsupported(_)));
        assert_eq!(fate("x-common"), Fate::Carried);
    }
}
