"""The hot loops of codecs 1 and 2 (PATCH.md part B). Every value is from 0 up, below 2^30.

(ptr32 has no sign where viper has 64 bits.)
State is an array('i') that the caller owns; what its places mean is said with their names.
"""

from micropython import const

# inflate: bits not used yet and how many; the next byte of the source, and the place before which tokens
# start; the window's next place; what is left of a back-reference, and the place it copies from;
# bits of an index and of a length; where to write in the output, and where to stop.
BITS = const(0)
COUNT = const(1)
NEXT = const(2)
STOP = const(3)
PLACE = const(4)
LEFT = const(5)
FROM = const(6)
WINDOW = const(7)
LOOKAHEAD = const(8)
AT = const(9)
END = const(10)
INFLATE = const(11)  # words

TOKEN = const(4)  # bytes that a token may take: 1 + 14 + 13 bits


@micropython.viper
def inflate(state: ptr32, source: ptr8, window: ptr8, out: ptr8):
    """Unpacks source into out[AT:END] until END is reached or source has no whole token left for sure."""
    mask = (1 << int(state[WINDOW])) - 1
    bits = int(state[BITS])
    count = int(state[COUNT])
    at = int(state[AT])
    end = int(state[END])
    place = int(state[PLACE])
    while at < end:
        left = int(state[LEFT])
        if left > 0:
            # 1. inside a back-reference
            start = int(state[FROM])
            n = end - at
            if n > left:
                n = left
            state[LEFT] = left - n
            stop = at + n
            while at < stop:
                byte = int(window[start & mask])
                window[place & mask] = byte
                out[at] = byte
                start += 1
                place += 1
                at += 1
            state[FROM] = start & mask
            place &= mask
        else:
            k = int(state[NEXT])
            if k >= int(state[STOP]):
                break
            # 2. the tag, and with it the literal or the index
            if count == 0:
                bits = int(source[k])
                count = 8
                k += 1
            count -= 1
            tag = bits >> count & 1
            need = 8 if tag == 1 else int(state[WINDOW])
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
                need = int(state[LOOKAHEAD])
                while count < need:
                    bits = (bits & 0x3FFF) << 8 | int(source[k])
                    count += 8
                    k += 1
                count -= need
                state[FROM] = place - value - 1 & mask
                state[LEFT] = (bits >> count & (1 << need) - 1) + 1
            state[NEXT] = k
    state[BITS] = bits & (1 << count) - 1
    state[COUNT] = count
    state[AT] = at
    state[PLACE] = place


# add: where to read in the stage, and where to stop; where to add in the page, and where to stop;
# unchanged bytes left; the value of a number so far, and its next shift; what comes next.
READ = const(0)
READ_END = const(1)
PAGE = const(2)
PAGE_END = const(3)
GAP = const(4)
NUMBER = const(5)
SHIFT = const(6)
STEP = const(7)
ADD = const(8)  # words

NUMBER_NEXT = const(0)
GAP_NEXT = const(1)
BYTE_NEXT = const(2)
WRONG = const(3)


@micropython.viper
def add(state: ptr32, stage: ptr8, page: ptr8):
    """Adds pairs {unchanged bytes, one difference} from the stage to the page, until either ends."""
    read = int(state[READ])
    read_end = int(state[READ_END])
    at = int(state[PAGE])
    end = int(state[PAGE_END])
    gap = int(state[GAP])
    step = int(state[STEP])
    while at < end and step != WRONG:
        if step == GAP_NEXT:
            n = end - at
            if n > gap:
                n = gap
            at += n
            gap -= n
            if gap == 0:
                step = BYTE_NEXT
        elif read == read_end:
            break
        else:
            byte = int(stage[read])
            read += 1
            if step == BYTE_NEXT:
                # A difference of 0 is no difference: no encoder writes it.
                if byte == 0:
                    step = WRONG
                else:
                    page[at] = int(page[at]) + byte & 0xFF
                    at += 1
                    step = NUMBER_NEXT
            else:
                shift = int(state[SHIFT])
                gap = int(state[NUMBER]) | (byte & 0x7F) << shift
                if byte >= 0x80:
                    state[NUMBER] = gap
                    state[SHIFT] = shift + 7
                    if shift == 21:
                        step = WRONG
                else:
                    state[NUMBER] = 0
                    state[SHIFT] = 0
                    step = GAP_NEXT
    state[READ] = read
    state[PAGE] = at
    state[GAP] = gap
    state[STEP] = step
