/* policy/host_config.h - a host's own page, /etc/cordon/host.yaml: what is not the network's business. Same loader,
 * same errors as a policy; JSON Schema in docs/host.schema.json. */
#ifndef POLICY_HOST_CONFIG_H
#define POLICY_HOST_CONFIG_H
#include "base/addr.h"
#include "base/report.h"
#include "base/scope.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct text;

enum { HOST_NAT_KEEPALIVE_MS = 20000 /* RFC 3948 4 */, HOST_LONGEST_EXEMPTION_MS = 24 * 3600 * 1000 };

/* Where the directory is, and how often it is asked. */
struct host_directory {
	const char *realm;    /* NULL: that of the policy's Kerberos sets */
	const char **servers; /* names or addresses; none: the policy's hosts that are a kdc, else whom DNS names */
	size_t server_count;
	uint32_t refresh_ms;
};
enum { HOST_DIRECTORY_REFRESH_MS = 15 * 60 * 1000 };

enum data_plane { DATA_PLANE_AUTO, DATA_PLANE_KERNEL, DATA_PLANE_USERSPACE };

struct host_certificate {
	const char *certificate, *key; /* paths; relative ones are relative to the page's folder */
	struct place place;
};

struct host_interface {
	const char *name;
	unsigned profile; /* PROFILE_ bit */
	bool automatic;   /* domain while the directory answers over it; else that profile, which is public */
};

/* The profile of what NetworkManager has put into a zone. */
enum { HOST_ZONE_TEXT = 63 };
struct host_zone {
	const char *name;
	unsigned profile; /* like an interface's */
	bool automatic;
};
/* Can this be a zone's name? Whoever may set a zone chooses it, and it is shown on terminals. */
bool host_zone_name_fits(const char *name, size_t len);

/* Where a Kerberos realm's KDCs are, in the order in which they are asked. */
enum { HOST_REALMS_MOST = 16, HOST_KDCS_MOST = 16, HOST_REALM_TEXT = 255 };
struct host_realm {
	const char *name; /* "CORP.EXAMPLE" */
	struct addr *kdcs;
	size_t kdc_count;
};

/* What the sources of Kerberos in IKEv1 leave open: how this host says it. */
enum {
	HOST_KERBEROS_NAME_TERMINATED = 1,
	HOST_KERBEROS_NAME_OCTETS = 2,
	HOST_KERBEROS_TOKEN_BARE = 4,
	HOST_KERBEROS_HASH_PREFIX = 8,
	HOST_KERBEROS_HASH_OCTETS = 16,
	HOST_KERBEROS_HASH_UNNAMED = 32,
};

/* The file of events. */
struct host_events {
	const char *file; /* NULL: the usual one */
	bool none;        /* there shall be none */
	uint64_t size;
	unsigned count; /* of older ones */
};
enum { HOST_WORKERS_MOST = 16 };
enum { HOST_EVENTS_SIZE = 10000000, HOST_EVENTS_COUNT = 5, HOST_EVENTS_COUNT_MOST = 100 };

struct host_config {
	const char *name; /* NULL: the system's host name */
	struct host_certificate *certificates;
	size_t certificate_count;
	const char **trust; /* PEM files of authorities */
	size_t trust_count;
	const char **revocation_lists; /* files, or folders of them */
	size_t revocation_list_count;
	const char *keytab;        /* NULL: none */
	struct host_realm *realms; /* others are known by the policy's role kdc, or by DNS */
	size_t realm_count;
	const char **policy_files; /* sources, in order; default /etc/cordon/policy.yaml */
	size_t policy_file_count;
	struct host_interface *interfaces;
	size_t interface_count;
	bool interfaces_auto;    /* all that are not named are automatic, and not public */
	struct host_zone *zones; /* for interfaces that are not named */
	size_t zone_count;
	enum data_plane data_plane;
	unsigned workers;              /* threads of the userspace plane; 0: as many as suit this machine */
	uint32_t nat_keepalive_ms;     /* 0: never */
	unsigned ikev1_kerberos;       /* HOST_KERBEROS_ bits */
	uint32_t longest_exemption_ms; /* of `cordon exempt`; 0: none at all */
	struct host_events events;
	struct host_directory directory;
	struct arena *memory; /* owns all the above */
};

/* A missing file is an error; an empty `cordon: 1` gives the defaults. */
int host_config_load(const char *path, struct report *r, struct host_config **ret);
/* The same from text, which the report takes over; the text's path says in which folder relative paths begin. */
int host_config_parse(struct text *text, struct report *r, struct host_config **ret);
void host_config_free(struct host_config *c);
SCOPE_FREEP(struct host_config, host_config)

#endif
