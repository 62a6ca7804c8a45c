raise ValueError("this release does not even import")
