"""The revisions, each repeatable: MySQL and MariaDB keep what was done of one that broke off."""
