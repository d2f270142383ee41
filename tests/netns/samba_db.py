#!/usr/bin/python3
"""What samba_dc.py asks of the domain controller's database: a line of JSON each, [what, argument ...], answered by {"is": ...} or
{"error": words}.

usage: samba_db.py SMB.CONF SAM.LDB
"""
import json
import sys

import ldb
import samba.dckeytab  # noqa: F401 pylint: disable=unused-import
from samba import dsdb
from samba.auth import system_session
from samba.dcerpc import security
from samba.ndr import ndr_unpack
from samba.net import Net
from samba.param import LoadParm
from samba.samdb import SamDB


class Database:
    def __init__(self, conf, path):
        self.lp = LoadParm()
        self.lp.load(conf)
        self.db = SamDB(url=path, session_info=system_session(self.lp), lp=self.lp)

    def _entry(self, name):
        found = self.db.search(base=self.db.domain_dn(), scope=ldb.SCOPE_SUBTREE, expression="(sAMAccountName=%s)" % name,
                               attrs=["objectSid"])
        return found[0] if found else None

    def _modify(self, name, attribute, values, how):
        m = ldb.Message(self._entry(name).dn)
        m[attribute] = ldb.MessageElement(values, how, attribute)
        self.db.modify(m)

    def sid(self, name):
        return str(ndr_unpack(security.dom_sid, self._entry(name)["objectSid"][0]))

    def replace(self, name, attribute, values):
        self._modify(name, attribute, values, ldb.FLAG_MOD_REPLACE)

    def add(self, name, attribute, values):
        for value in values:
            try:
                self._modify(name, attribute, [value], ldb.FLAG_MOD_ADD)
            except ldb.LdbError as e:
                if e.args[0] != ldb.ERR_ATTRIBUTE_OR_VALUE_EXISTS:
                    raise

    def group(self, name, members, local):
        if self._entry(name) is None:
            self.db.newgroup(name, grouptype=dsdb.GTYPE_SECURITY_DOMAIN_LOCAL_GROUP if local else dsdb.GTYPE_SECURITY_GLOBAL_GROUP)
        if members:
            self.db.add_remove_group_members(name, list(members), add_members_operation=True)

    def groups(self, prefix, count, member):
        """Many at once: prefix0, prefix1 ..., each with that member."""
        self.db.transaction_start()
        for i in range(count):
            self.group("%s%d" % (prefix, i), [member], False)
        self.db.transaction_commit()

    def leave(self, group, member):
        self.db.add_remove_group_members(group, [member], add_members_operation=False)

    def delete(self, name):
        self.db.delete(self._entry(name).dn)

    def machine(self, name, host, keytab):
        account = name + "$"
        self.db.newcomputer(name)
        # Without the first tickets are RC4's; it counts when the password is set.
        self.replace(account, "msDS-SupportedEncryptionTypes", ["24"])
        self.replace(account, "dNSHostName", [host])
        self.replace(account, "servicePrincipalName", ["host/" + host, "host/" + name])
        self.db.setpassword("(sAMAccountName=%s)" % account, "Mach1ne.Pass-" + name, username=account)
        for principal in (account, "host/" + host):
            Net(None, self.lp).export_keytab(keytab=keytab, principal=principal)


def main():
    database = Database(*sys.argv[1:])
    for line in sys.stdin:
        what, *arguments = json.loads(line)
        try:
            answer = {"is": getattr(database, what)(*arguments)}
        except Exception as e:  # whoever asked raises it
            answer = {"error": "%s: %s" % (type(e).__name__, e)}
        print(json.dumps(answer), flush=True)


main()
