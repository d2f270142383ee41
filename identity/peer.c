#include "identity/peer.h"

const char *peer_method_name(enum peer_method m)
{
	switch (m) {
	case PEER_PSK:
		return "pre-shared-key";
	case PEER_CERTIFICATE:
		return "certificate";
	case PEER_KERBEROS:
		return "kerberos";
	case PEER_UNPROVEN:
		break;
	}
	return "unproven";
}
