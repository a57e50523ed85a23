"""What people do in Jira, as the signed deliveries of a webhook that an administrator made."""

import hashlib
import hmac
import json
from dataclasses import dataclass
from typing import Any

from tests.standins.channels.jira import CATEGORY, Jira

PERSON = {"accountId": "5b10a2844c20165700ede21g", "displayName": "Mia Krystof",
          "accountType": "atlassian", "active": True}  # fmt: skip
AUTOMATION = {"accountId": "557058:f58131cb", "displayName": "Automation for Jira",
              "accountType": "app", "active": True}  # fmt: skip

Delivery = tuple[dict[str, str], bytes]


@dataclass(slots=True)
class People:
    """Somebody at an issue; each deed gives the delivery that Jira would send."""

    door: Jira
    secret: str
    project_type: str = "service_desk"
    sent: int = 0

    def assigns(self, key: str, name: str | None, by: dict[str, Any] = PERSON) -> Delivery:
        return self._changes(key, by, ("assignee", None, name))

    def moves(self, key: str, status: str, by: dict[str, Any] = PERSON, *more: Any) -> Delivery:
        issue = next(i for i in self.door.issues if i.key == key)
        before, issue.status = issue.status, status
        return self._changes(key, by, ("status", before, status), *more)

    def renames(self, key: str, new: str) -> Delivery:
        next(i for i in self.door.issues if i.key == key).key = new
        return self._changes(new, PERSON, ("Key", key, new))

    def deletes(self, key: str) -> Delivery:
        made = self._delivery("jira:issue_deleted", key, user=PERSON)
        self.door.issues = [i for i in self.door.issues if i.key != key]
        return made

    def comments(
        self, key: str, text: Any, *, public: bool = False, by: dict[str, Any] = PERSON
    ) -> Delivery:
        self.sent += 1
        comment = {"id": str(10_000 + self.sent), "author": by, "updateAuthor": by, "body": text,
                   "jsdPublic": public}  # fmt: skip
        return self._delivery("comment_created", key, comment=comment)

    def _changes(self, key: str, by: dict[str, Any], *items: Any) -> Delivery:
        made = [{"field": f, "fieldtype": "jira", "fromString": b, "toString": a}
                for f, b, a in items]  # fmt: skip
        return self._delivery(
            "jira:issue_updated", key, user=by, changelog={"id": "10124", "items": made},
            issue_event_type_name="issue_generic",
        )  # fmt: skip

    def _delivery(self, event: str, key: str, **more: Any) -> Delivery:
        self.sent += 1
        issue = next(i for i in self.door.issues if i.key == key)
        fields = {
            "labels": issue.fields["labels"], "summary": issue.fields["summary"],
            "status": {"name": issue.status, "statusCategory": {"key": CATEGORY[issue.status]}},
            "project": {"key": self.door.project, "projectTypeKey": self.project_type},
        }  # fmt: skip
        root = "https://contoso.atlassian.net/rest/api/2/issue/10042"
        body = json.dumps({
            "timestamp": 1766500000000 + self.sent, "webhookEvent": event,
            "issue": {"id": "10042", "self": root, "key": key, "fields": fields}, **more,
        }).encode()  # fmt: skip
        signature = hmac.new(self.secret.encode(), body, hashlib.sha256).hexdigest()
        headers = {
            "content-type": "application/json", "x-hub-signature": f"sha256={signature}",
            "x-atlassian-webhook-identifier": f"wh-{self.sent}",
        }  # fmt: skip
        return headers, body
