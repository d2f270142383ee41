#include "tests/replay/v1.h"
#include "tests/unit/unit.h"

const char v1_policy[] = "cordon: 1\n"
			 "authentication:\n"
			 "  password: [ { pre-shared-key: { file: /etc/cordon/psk } } ]\n"
			 "key-exchange:\n"
			 "  default: { proposals: [aes256-sha384-ecp384, aes256-sha256-ecp256] }\n"
			 "connection-security:\n"
			 "  - { name: all, endpoint1: [10.0.0.1], endpoint2: [10.0.0.2], mode: require,\n"
			 "      authentication: password, modules: ikev1 }\n";

void v1_sign(struct world *w, uint8_t method)
{
	w->certificates = true;
	for (unsigned i = 0; i < HOSTS; i++) {
		struct world_host *h = &w->hosts[i];
		const struct auth_set *sets;
		size_t n = policy_auth_sets(plan_policy(h->plan), &sets);
		assert_in_range(n, 1, 4);
		h->credential.kind = AUTH_CERTIFICATE;
		h->credential.signs_by = method;
		h->credential.satisfies_count = n;
		for (size_t s = 0; s < n; s++)
			h->satisfies[s] = &sets[s];
		keying_set_credentials(h->keying, &h->config, w->now_ms);
	}
}

struct world *v1_world_signing(uint8_t method)
{
	static const char policy[] = "cordon: 1\n"
				     "authentication:\n"
				     "  machine: [ { certificate: { issuer: \"CN=CA\" } } ]\n"
				     "key-exchange:\n"
				     "  default: { proposals: [aes256-sha384-ecp384] }\n"
				     "connection-security:\n"
				     "  - { name: all, endpoint1: [10.0.0.1], endpoint2: [10.0.0.2], mode: require,\n"
				     "      authentication: machine, modules: ikev1 }\n";
	struct world *w = world_new(policy);

	v1_sign(w, method);
	return w;
}

struct world *v1_world_kerberos(void)
{
	static const char policy[] = "cordon: 1\n"
				     "authentication:\n"
				     "  machine: [ { kerberos: { realm: EXAMPLE } } ]\n"
				     "key-exchange:\n"
				     "  default: { proposals: [aes256-sha384-ecp384] }\n"
				     "connection-security:\n"
				     "  - { name: all, endpoint1: [10.0.0.1], endpoint2: [10.0.0.2], mode: require,\n"
				     "      authentication: machine, modules: ikev1 }\n";
	static const char *const principals[HOSTS] = { "host/a.example@EXAMPLE", "host/b.example@EXAMPLE" };
	struct world *w = world_new(policy);

	for (unsigned i = 0; i < HOSTS; i++) {
		struct world_host *h = &w->hosts[i];
		const struct auth_set *sets;
		assert_int_equal(policy_auth_sets(plan_policy(h->plan), &sets), 1);
		h->credential.kind = AUTH_KERBEROS;
		h->credential.subject = principals[i];
		h->kdc.principal = principals[i];
		h->satisfies[0] = &sets[0];
		h->credential.satisfies_count = 1;
		keying_set_credentials(h->keying, &h->config, w->now_ms);
	}
	return w;
}
