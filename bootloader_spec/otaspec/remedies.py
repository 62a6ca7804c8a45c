"""Cause and remedy of every error, for people. Host side only: a board sends the number (errors.TABLE)."""

# number: (cause, remedy)
REMEDIES = {
    101: (
        "The manifest is not CBOR as PACKAGE.md section 2 allows it.",
        "Make the package again with `driblet diff`. If it comes from your own tool, compare its bytes with "
        "the golden packages in bootloader_spec/vectors.",
    ),
    102: (
        "The signature does not fit the manifest: the package was altered, or another key signed it.",
        "Publish the release again from the console, so that the product's own key signs it.",
    ),
    103: (
        "The board does not know the key that signed this package.",
        "Sign with the product's key, or bring the board a key set that names the new key first.",
    ),
    104: (
        "The key that signed this package was revoked.",
        "Sign the release again with a key that the current key set still trusts.",
    ),
    105: (
        "The package uses something that this board's agent is too old to know.",
        "Update the board to a release with a newer agent first, as a package without the new feature.",
    ),
    106: (
        "The manifest is longer than 8,192 bytes.",
        "Large patches carry a list of hashes: raise the chunk size, or send the full image.",
    ),
    107: (
        "A field of the manifest is missing or has a value out of its range.",
        "Make the package again with `driblet diff`; `driblet inspect` shows every field.",
    ),
    108: (
        "The package is shorter than its manifest says.",
        "Download it again, or upload it again if it was cut on the way to the server.",
    ),
    109: (
        "The package is longer than its manifest says.",
        "Make it again. A package is one file: nothing may be appended to it.",
    ),
    110: (
        "The bytes of the payload are not those that were signed.",
        "The board fetches it again by itself. If it returns, look for a proxy that alters downloads.",
    ),
    111: (
        "The image that came out is not the one that was signed.",
        "The board fetches again by itself. If it returns on one board only, its flash is failing: replace "
        "it.",
    ),
    112: (
        "The patch says something that no patch of ours says.",
        "Make the package again with this version of driblet: it runs the board's own decoder before it "
        "publishes.",
    ),
    113: (
        "Decoding this patch takes more memory than the board has set aside.",
        "Raise decoder_ram in the board's board.toml if the board has it, or make the patch with a smaller "
        "window.",
    ),
    114: (
        "The board's decoder does not know this codec.",
        "List only codecs that your oldest agent knows in board.toml, or send the full image once.",
    ),
    115: (
        "A chunk of the payload is not the one that was signed.",
        "The board fetches the chunk again by itself. If it returns, look for a proxy that alters downloads.",
    ),
    116: (
        "The key set is not signed by enough of the root keys that the board trusts.",
        "Have the threshold of root keys sign it, of the old set and of the new one.",
    ),
    117: (
        "The key set is older than the board's, or leaves a version out.",
        "Serve every key set since the board's version, in order.",
    ),
    118: (
        "This file is not a package: it does not begin with DRB1.",
        "Give the file that `driblet diff` wrote. `driblet inspect FILE` says what you have.",
    ),
    119: (
        "The application's bundle is no archive as PACKAGE.md section 7 has it, or has a forbidden name.",
        "Make it again with `driblet diff --bundle FOLDER`. Names are plain letters, and none begins with "
        "otaagent or otaspec.",
    ),
    201: (
        "The package belongs to another product.",
        "Check the product key in the board's settings, and the product that the release was uploaded to.",
    ),
    202: (
        "The package was made for another board.",
        "Make a release for this board; `driblet board list` shows the names.",
    ),
    203: (
        "The package holds code for another chip.",
        "Build the firmware for this board's chip and upload that.",
    ),
    204: (
        "The package is meant for one other device.",
        "Roll out a package without a device name, or one that names this device.",
    ),
    205: (
        "The patch does not fit the image that the board runs.",
        "The board says what it runs when it polls, and the server then picks another patch or the full "
        "image. If it returns, upload the image that the board really runs.",
    ),
    206: (
        "The release is not newer than what the board has confirmed.",
        "To go back to an old image, publish it again: it gets a new sequence number.",
    ),
    207: (
        "The release's sequence number is more than 4,096 above the board's.",
        "Publish with the next numbers in order; a key set may set a new floor.",
    ),
    208: (
        "The release's security counter is below the board's: it holds a hole that was closed.",
        "Build the release with the current secure_version.",
    ),
    209: (
        "The manifest's last day has passed.",
        "Publish the release again with a later one, and check the board's clock.",
    ),
    210: (
        "The image is larger than the board's slot.",
        "Make the image smaller, or use a board with larger slots; `driblet board list` shows them.",
    ),
    211: (
        "This board has tried the release and gone back.",
        "See its log, mend the release, and publish it under a new version.",
    ),
    212: (
        "The patch does not fit into the free flash that it must wait in until it is verified.",
        "Send the full image, which needs no room beside the slot.",
    ),
    213: (
        "The board no longer holds the image that an undo would bring back, or never confirmed it.",
        "Send the old release again as a new one: an ordinary update with the old image.",
    ),
    214: (
        "The board's file system has no room for the bundle, which it needs twice while it unpacks.",
        "Make the bundle smaller, or free room: the inventory's `stale` names files that are never used.",
    ),
    301: (
        "The server could not be reached.",
        "Check the server's address, the name service and the network. The board tries again by itself.",
    ),
    302: (
        "The server did not answer in time.",
        "Nothing to do if it happens now and then: the board tries again. Else check the server's load.",
    ),
    303: (
        "The server could not prove who it is: certificate authority, name or date is wrong.",
        "Give the board the CA that signed the server's certificate, use the name in it, and set the clock.",
    ),
    304: (
        "The server answered with an HTTP error.",
        "The log has the status: 404 a package that was removed, 5xx a fault of the server; see its log.",
    ),
    305: (
        "The answer is not what PROTOCOL.md says, or longer than it may be.",
        "Check that the address is that of a driblet server and that no portal or proxy answers in its "
        "place.",
    ),
    306: (
        "The download was slower than the least speed that is set.",
        "The board goes on later where it stopped. Lower the least speed if the network is slow by nature.",
    ),
    307: (
        "The package on the server changed during the download.",
        "The board starts again by itself. Never replace a published package: publish a new version.",
    ),
    308: (
        "The server does not accept this device name and secret.",
        "Check the device's name and secret, or register it again with the product's secret.",
    ),
    309: (
        "The device is registered and waits for approval.",
        "Approve it in the console under Devices.",
    ),
    310: (
        "The answer does not prove that the server knows this device's secret.",
        "Check that the board talks to your own server; set the secret anew on both sides if it was "
        "restored.",
    ),
    311: (
        "The server's address begins with http://, which protects nothing.",
        "Use https://. For development only, allow plain HTTP with the flag that says so.",
    ),
    312: (
        "The server asks the board to come back later.",
        "Nothing: the board waits as long as it was told.",
    ),
    313: (
        "A device of this name has logged in before, so it may not register again.",
        "If the board really lost its secret, issue it anew: the device's page, or `driblet device reissue`.",
    ),
    401: (
        "The flash did not erase a sector.",
        "The board tries again by itself. If it returns, the flash is worn out: replace the module.",
    ),
    402: (
        "The flash did not take what was written.",
        "The board tries again by itself. If it returns, check the power supply, then replace the module.",
    ),
    403: (
        "The flash reads back other bytes than were written.",
        "The board tries again by itself. If it returns, check the power supply, then replace the module.",
    ),
    404: (
        "The NVS partition could not be read or written.",
        "Erase the nvs partition and set the board up again; credentials live there. Check that it is not "
        "full.",
    ),
    405: (
        "The board has no second slot to update into.",
        "Flash a partition table with ota_0, ota_1 and otadata: `driblet board check` looks at yours.",
    ),
    406: (
        "The new image could not be chosen for the next start.",
        "The board tries again by itself. If it returns, read its log: the bootloader refuses the image.",
    ),
    407: (
        "The board ran out of memory.",
        "Free memory in the application during an update, or lower decoder_ram so that smaller patches are "
        "made.",
    ),
    408: (
        "The new image runs but could not be confirmed.",
        "The board tries again at its next start. If it returns, the otadata partition is failing.",
    ),
    409: (
        "Changing otadata now could leave no image to start: the agent stopped before it did.",
        "Restart the board and let it check in; then update again.",
    ),
    410: (
        "The application's own hook refused this release.",
        "The report says which hook and why. The board is not asked again until another release comes.",
    ),
    411: (
        "The board's file system could not be written or read.",
        "Look at its log. If it returns, format the file system; the application's own files are lost then.",
    ),
    501: (
        "The release's own self-test said no.",
        "The board went back to the old image. Its log has the reason; mend the release.",
    ),
    502: (
        "The new image hung, and the watchdog ended its trial.",
        "The board went back to the old image. Look for a loop that never gives way in the new code.",
    ),
    503: (
        "The new image crashed on its trial.",
        "The board went back to the old image. The log has the exception or the reset cause.",
    ),
    504: (
        "The new image did not reach the server before its deadline.",
        "The board went back and tries later; nothing counts against the release. If all boards say so, "
        "check the release's network settings.",
    ),
    505: (
        "Power was lost during the trial.",
        "Nothing: the board tries the release again. After three such trials it goes back and says so.",
    ),
    506: (
        "The bootloader did not start the new image.",
        "Check that it is built for this chip and its revision, and signed if the board uses Secure Boot.",
    ),
    601: (
        "This file holds bootloader, partition table and application in one.",
        "Give the application image alone: MicroPython's .app-bin, or micropython.bin of your build folder.",
    ),
    602: (
        "This file is not an ESP image: it does not begin with E9.",
        "Give the application image that your build made (.app-bin, or micropython.bin of the build folder). "
        "Patches of other firmware can be measured with `driblet diff --raw`.",
    ),
    603: (
        "The image ends before its header says.",
        "Copy or download it again.",
    ),
    604: (
        "The image's checksum or hash is not that of its bytes: it was damaged or altered.",
        "Copy or download it again, or build it again.",
    ),
    605: (
        "This is not an image that a board can start.",
        "Build it again; `driblet inspect FILE` shows what is in it.",
    ),
    606: (
        "The image is for another chip.",
        "Choose a board of the image's chip (`driblet board list`), or build for this one.",
    ),
    607: (
        "No board of this chip has slots that are large enough for the image.",
        "Make the image smaller, or describe a board with larger slots or more flash: `driblet board new`.",
    ),
    608: (
        "There is a release with this version already.",
        "Give the new image a new version: published releases never change.",
    ),
    609: (
        "The bootloader would refuse this partition table, or it cannot be updated over the air.",
        "Mend the named row; `driblet board check` explains the rules.",
    ),
    610: (
        "The file cannot be read or written.",
        "Check its name, its rights and the free space.",
    ),
    611: (
        "There is nothing of this name.",
        "Check the spelling; the list commands show what is there.",
    ),
    612: (
        "MicroPython could not be found or unpacked on this machine.",
        "On Debian 12 or 13: check that `apt-get update` reaches your mirror, then try again. On other "
        "systems that have apt and Debian's archive key (package debian-archive-keyring): set "
        "DRIBLET_DEBIAN_MIRROR to a Debian mirror. Elsewhere: set DRIBLET_MICROPYTHON to a MicroPython 1.25 "
        "of the unix port.",
    ),
    613: (
        "The request is not what this call takes.",
        "The message names the field; docs/api.md and --help list what calls and commands take.",
    ),
    614: (
        "The token or session is missing, wrong, or no longer in force.",
        "Sign in again, or give the token with --token or DRIBLET_TOKEN. `driblet recover` makes a new one "
        "on the server's machine.",
    ),
    615: (
        "Your role does not allow this.",
        "Ask an owner of the team to do it, or to give you the role.",
    ),
    616: (
        "The name is taken.",
        "Choose another name, or use what is there: the list commands show it.",
    ),
    617: (
        "The thing is not in a state that allows this.",
        "The message names the state. Look at it again: somebody may have been faster.",
    ),
    618: (
        "The request is longer than the server accepts.",
        "Send less. The limit for images is the setting DRIBLET_MAX_IMAGE_SIZE.",
    ),
    619: (
        "The server met a case that its makers did not think of.",
        "Nothing that was acknowledged is lost. Try again; if it returns, report it with the server's log.",
    ),
    620: (
        "The package could not be made.",
        "The detail says why. Mend that and start the job again, or upload the release anew.",
    ),
    621: (
        "The description of this board is wrong.",
        "Mend the named field of its board.toml; boards/README.md explains every field.",
    ),
    622: (
        "This is no private key that can sign packages.",
        "Give an EC key on P-256 as PEM: `openssl ecparam -name prime256v1 -genkey -noout -out key.pem`. "
        "For an encrypted one set DRIBLET_KEY_PASSWORD.",
    ),
    623: (
        "This serial port cannot be opened.",
        "Plug the board in and name its port (`python -m serial.tools.list_ports` lists them). "
        "If it is busy, close the program that holds it; if it is denied, join the group dialout.",
    ),
    624: (
        "The board does not answer as MicroPython does, or not as asked.",
        "Press reset and try again. For flashing an image hold BOOT while you press reset. "
        "A board without MicroPython needs --image.",
    ),
    701: (
        "The application asked the agent to wait.",
        "Nothing: it goes on when the application allows it, or force the update.",
    ),
    702: (
        "It is not the time that the maintenance window allows.",
        "Nothing: it goes on inside the window, or force the update.",
    ),
    703: (
        "The download would exceed the data that the board may use now.",
        "Nothing: it goes on with the next budget, or on a network that is not metered.",
    ),
}


def explain(code: int) -> str:
    """Two sentences or so for a person: cause, then what to do."""
    cause, remedy = REMEDIES[code]
    return cause + " " + remedy
