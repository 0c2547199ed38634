// SPDX-License-Identifier: GPL-2.0

//! The backend's end of the ring.

use crate::page::{place, Page, REQ_PROD, RSP_PROD};
use ring::SharedPage;
use usbif::{Request, URB_ENTRY};

pub struct FarEnd {
    page: Page,
    req_cons: u32,
    rsp_prod: u32,
    /// The ids that it has taken off the ring and not answered.
    pub held: Vec<u16>,
}

impl FarEnd {
    pub fn new(page: Page) -> Self {
        Self {
            page,
            req_cons: 0,
            rsp_prod: 0,
            held: vec![],
        }
    }

    /// Takes the requests that it was shown.
    pub fn take(&mut self) {
        let produced = self.page.load(REQ_PROD);
        while self.req_cons != produced {
            let mut entry = [0; URB_ENTRY];
            self.page.read(place(self.req_cons, URB_ENTRY), &mut entry);
            self.req_cons = self.req_cons.wrapping_add(1);
            self.held.push(Request::parse(&entry).unwrap().id());
        }
    }

    /// Whether it has answered all the requests that it has taken.
    pub fn has_answered_all(&self) -> bool {
        self.rsp_prod.wrapping_add(1) > self.req_cons
    }

    pub fn respond(&mut self, bytes: &[u8]) {
        self.page.write(place(self.rsp_prod, URB_ENTRY), bytes);
        self.rsp_prod = self.rsp_prod.wrapping_add(1);
        self.page.store(RSP_PROD, self.rsp_prod);
    }

    /// Says that there are more responses than requests.
    pub fn overrun(&mut self) {
        self.page
            .store(RSP_PROD, self.page.load(REQ_PROD).wrapping_add(1));
    }
}
