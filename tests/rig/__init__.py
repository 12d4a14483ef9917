"""The rig: real servers on loopback that the tests of the whole program talk to. See README.md."""
