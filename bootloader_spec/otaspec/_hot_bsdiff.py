"""The hot loops of codecs 1 and 2 (PATCH.md part B). Every value stays below 2^30.

State is an array('i') that the caller owns; what its places mean is said with their names.
"""

from ._plain import micropython, ptr8, ptr32

# inflate: bits not used yet and how many; the next byte of the source, and the last place a token may
# start at; the window's next place; what is left of a back-reference, and the place it copies from;
# bits of an index and of a length; where to write in the output, and where to stop.
BITS = 0
COUNT = 1
NEXT = 2
LAST = 3
PLACE = 4
LEFT = 5
FROM = 6
WINDOW = 7
LOOKAHEAD = 8
AT = 9
END = 10
INFLATE = 11  # words

TOKEN = 4  # bytes that a token may take: 1 + 14 + 13 bits


@micropython.viper
def inflate(state: ptr32, source: ptr8, window: ptr8, out: ptr8):
    """Unpacks source into out[AT:END] until END is reached or source has no whole token left for sure."""
    mask = (1 << int(state[7])) - 1
    bits = int(state[0])
    count = int(state[1])
    at = int(state[9])
    end = int(state[10])
    place = int(state[4])
    while at < end:
        left = int(state[5])
        if left > 0:
            # 1. inside a back-reference
            start = int(state[6])
            n = end - at
            if n > left:
                n = left
            state[5] = left - n
            stop = at + n
            while at < stop:
                byte = int(window[start & mask])
                window[place & mask] = byte
                out[at] = byte
                start += 1
                place += 1
                at += 1
            state[6] = start & mask
            place &= mask
        else:
            k = int(state[2])
            if k > int(state[3]):
                break
            # 2. the tag, and with it the literal or the index
            if count == 0:
                bits = int(source[k])
                count = 8
                k += 1
            count -= 1
            tag = bits >> count & 1
            need = 8 if tag == 1 else int(state[7])
            while count < need:
                bits = (bits & 0x3FFF) << 8 | int(source[k])
                count += 8
                k += 1
            count -= need
            value = bits >> count & (1 << need) - 1
            if tag == 1:
                window[place] = value
                out[at] = value
                place = place + 1 & mask
                at += 1
            else:
                # 3. the length
                need = int(state[8])
                while count < need:
                    bits = (bits & 0x3FFF) << 8 | int(source[k])
                    count += 8
                    k += 1
                count -= need
                state[6] = place - value - 1 & mask
                state[5] = (bits >> count & (1 << need) - 1) + 1
            state[2] = k
    state[0] = bits & (1 << count) - 1
    state[1] = count
    state[9] = at
    state[4] = place


# add: where to read in the stage, and where to stop; where to add in the page, and where to stop;
# unchanged bytes left; the value of a number so far, and its next shift; what comes next.
READ = 0
READ_END = 1
PAGE = 2
PAGE_END = 3
GAP = 4
NUMBER = 5
SHIFT = 6
STEP = 7
ADD = 8  # words

NUMBER_NEXT = 0
GAP_NEXT = 1
BYTE_NEXT = 2
WRONG = 3


@micropython.viper
def add(state: ptr32, stage: ptr8, page: ptr8):
    """Adds pairs {unchanged bytes, one difference} from the stage to the page, until either ends."""
    read = int(state[0])
    read_end = int(state[1])
    at = int(state[2])
    end = int(state[3])
    gap = int(state[4])
    step = int(state[7])
    while at < end and step != 3:
        if step == 1:
            n = end - at
            if n > gap:
                n = gap
            at += n
            gap -= n
            if gap == 0:
                step = 2
        elif read == read_end:
            break
        else:
            byte = int(stage[read])
            read += 1
            if step == 2:
                # A difference of 0 is no difference: no encoder writes it.
                if byte == 0:
                    step = 3
                else:
                    page[at] = int(page[at]) + byte & 0xFF
                    at += 1
                    step = 0
            else:
                shift = int(state[6])
                gap = int(state[5]) | (byte & 0x7F) << shift
                if byte >= 0x80:
                    state[5] = gap
                    state[6] = shift + 7
                    if shift == 21:
                        step = 3
                else:
                    state[5] = 0
                    state[6] = 0
                    step = 1
    state[0] = read
    state[2] = at
    state[4] = gap
    state[7] = step
