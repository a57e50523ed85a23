"""A faithful ServiceNow instance in memory, served over real HTTP; faults on command."""

from tests.standins.servicenow.faults import Fault, Kind
from tests.standins.servicenow.instance import Application, Instance, User
from tests.standins.servicenow.serve import app_of, serving

__all__ = ["Application", "Fault", "Instance", "Kind", "User", "app_of", "serving"]
